"""The programs of data/results: one module per table, and the tools that they have in common.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments NAME [processes]

writes NAME.csv, one row per finished run. An interrupted program resumes where it stopped; delete the table, or rows
of it, to measure them again. In the module NAME, `experiments` lists every run and `measure` returns its MEASURES.
"""
