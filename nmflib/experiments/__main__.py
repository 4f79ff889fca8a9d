"""Write a table of data/results, or the rows that it lacks."""

import sys
from importlib import import_module

from nmflib.experiments import tables
from nmflib.experiments.grid import run_grid


def main(name: str, n_jobs: str = "1") -> None:
    module = import_module(f"nmflib.experiments.{name}")
    for experiments in getattr(module, "STAGES", None) or [module.experiments]:
        run_grid(module.measure, list(experiments()), tables.path(name), measures=module.MEASURES, n_jobs=int(n_jobs))


if __name__ == "__main__":
    main(*sys.argv[1:])
