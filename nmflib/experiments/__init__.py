"""The programs behind data/results: a module per table, and what they share.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments NAME [processes]

writes NAME.csv, one row per finished run. An interrupted program goes on where it stopped; delete the table, or rows
of it, to measure them again. In the module NAME, `experiments` lists every run and `measure` gives its MEASURES.
"""
