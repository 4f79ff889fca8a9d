"""Write a table of data/results, or the rows that it lacks."""

import sys
from contextlib import suppress
from importlib import import_module

from nmflib.experiments import tables
from nmflib.experiments.grid import run_grid

MEMORY = 6 * 2**30  # bytes that the process may use


def main(name: str, n_jobs: str = "1") -> None:
    module = import_module(f"nmflib.experiments.{name}")
    for experiments in getattr(module, "STAGES", None) or [module.experiments]:
        run_grid(module.measure, list(experiments()), tables.path(name), measures=module.MEASURES, n_jobs=int(n_jobs))


if __name__ == "__main__":
    with suppress(ImportError):  # on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    main(*sys.argv[1:])
