"""A grid of experiments becomes a table, one row per finished run; what a kill interrupts goes on where it stopped.

>>> import tempfile
>>> def area(width, height):
...     return {"area": width * height}
>>> with tempfile.TemporaryDirectory() as folder:
...     table = run_grid(area, grid(width=[1, 2], height=3), folder + "/areas.csv", measures=["area"])
>>> table[["width", "height", "area"]].values.tolist()
[[1, 3, 3], [2, 3, 6]]
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas

Experiment = Mapping[str, Any]
Function = Callable[..., Mapping[str, Any]]
Row = dict[str, str]


def grid(**values: Any) -> list[dict[str, Any]]:
    """Every combination of the values, the last name varying fastest.

    values : a list, tuple, range or array for what varies; anything else, a text too, is the same in every experiment

    >>> grid(scene=["room", "head"], n_sources=2, seed=range(2))[1:3]
    [{'scene': 'room', 'n_sources': 2, 'seed': 1}, {'scene': 'head', 'n_sources': 2, 'seed': 0}]
    """
    lists = [value if isinstance(value, list | tuple | range | np.ndarray) else [value] for value in values.values()]
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*lists)]


def run_grid(
    function: Function,
    experiments: Sequence[Experiment],
    path: str | os.PathLike[str],
    *,
    measures: Sequence[str],
    n_jobs: int = 1,
    scheduler: str | None = None,
) -> pandas.DataFrame:
    """Call function(**experiment) for each experiment that `path` has no row of, and return all their rows.

    function : returns {measure: number or text}, all of `measures` or some of them (the others stay empty)
    experiments : dicts with the same names, such as `grid` makes: scene, n_sources, n_channels, method, seed, …
    path : CSV file; a column for every name and measure, and `error`. A row is appended as soon as its run ends, by
        this process alone. Started again after a kill, a half-written last line is removed and only what is missing
        is run. A run that raises is a row with its error; to try it again, delete its line.
    n_jobs : processes on this machine, by joblib (-1: one per core)
    scheduler : address of a Dask scheduler, such as "tcp://10.0.0.1:8786"; its workers then run the experiments
    returns the rows of `experiments`, in their order

    On a terminal a progress bar is shown.
    """
    import pandas as pd
    from tqdm import tqdm

    path, names = Path(path), _names(experiments, measures)
    columns = [*names, *measures, "error"]
    keys = [_key(experiment, names) for experiment in experiments]
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"experiments: {dict(zip(names, twice, strict=True))} is there twice; each must differ")
    finished = _finished(path, columns, len(names))
    missing = [experiment for experiment, key in zip(experiments, keys, strict=True) if key not in finished]
    task = _Task(function, tuple(measures))
    rows = _on_cluster(task, missing, scheduler) if scheduler else _on_this_machine(task, missing, n_jobs)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not path.stat().st_size:
            writer.writeheader()
        for row in tqdm(rows, total=len(keys), initial=len(keys) - len(missing), unit="run", disable=None):
            writer.writerow(row)
            file.flush()
    table = pd.read_csv(path, dtype={"error": str}).fillna({"error": ""})
    line_of = {key: line for line, key in enumerate(_finished(path, columns, len(names)))}
    return table.iloc[[line_of[key] for key in keys]].reset_index(drop=True)


class _Task:
    """One run, wherever it takes place: the experiment and what was measured, or the error, as a row of texts."""

    def __init__(self, function: Function, measures: tuple[str, ...]) -> None:
        self.function, self.measures = function, measures

    def __call__(self, experiment: Experiment) -> Row:
        try:
            found = self.function(**experiment)
            unknown = sorted(set(found) - set(self.measures))
            if unknown:
                raise ValueError(f"function returned {unknown}; measures are {list(self.measures)}")
        except Exception as error:
            return _failed(experiment, error)
        return {name: _text(value) for name, value in (dict(experiment) | dict(found)).items()} | {"error": ""}


def _failed(experiment: Experiment, error: BaseException) -> Row:
    texts = {name: _text(value) for name, value in experiment.items()}
    return texts | {"error": _text(f"{type(error).__name__}: {error}")}


def _on_this_machine(task: _Task, experiments: Sequence[Experiment], n_jobs: int) -> Iterator[Row]:
    """Rows as they are finished."""
    from joblib import Parallel, delayed

    if n_jobs == 1:
        return map(task, experiments)
    return Parallel(n_jobs, return_as="generator_unordered", batch_size=1)(delayed(task)(e) for e in experiments)


def _on_cluster(task: _Task, experiments: Sequence[Experiment], scheduler: str) -> Iterator[Row]:
    """Rows as they are finished; a run whose worker dies again and again is a row with that error."""
    from distributed import Client, as_completed

    with Client(scheduler, set_as_default=False) as client:
        futures = dict(zip(client.map(task, experiments, pure=False), experiments, strict=True))
        for future in as_completed(futures, loop=client.loop):
            error = future.exception()
            yield future.result() if error is None else _failed(futures[future], error)


def _names(experiments: Sequence[Experiment], measures: Sequence[str]) -> list[str]:
    """The names that all experiments have in common with the first."""
    if not experiments:
        raise ValueError("experiments is empty; it needs at least one")
    names = list(experiments[0])
    for experiment in experiments:
        if list(experiment) != names:
            raise ValueError(f"experiments have different names: {list(experiment)} and {names}; they must be the same")
    columns = [*names, *measures, "error"]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ValueError(
            f"measures: {twice} would be two columns; experiments, measures and 'error' must not share one"
        )
    return names


def _text(value: Any) -> str:
    """How the table writes a value: on one line, None as nothing."""
    return "" if value is None else " ".join(str(value).split())


def _key(experiment: Experiment, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_text(experiment[name]) for name in names)


def _finished(path: Path, columns: Sequence[str], n_names: int) -> list[tuple[str, ...]]:
    """The experiments that have a row, in the order of the lines. What follows the last end of line is removed."""
    if not path.exists():
        return []
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [list(columns)]
    if header != list(columns):
        raise ValueError(f"{path} has columns {header}; this grid needs {list(columns)}: take another file")
    return [tuple(row[:n_names]) for row in rows]
