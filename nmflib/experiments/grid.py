"""Run a grid of experiments into a table, one row per finished run; an interrupted program resumes where it stopped.

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
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas

Experiment = Mapping[str, Any]
Function = Callable[..., Mapping[str, Any]]
Row = dict[str, Any]


def grid(**values: Any) -> list[dict[str, Any]]:
    """Every combination of the values; the last name varies fastest.

    values : a list, tuple, range or array of values; anything else, such as a text, is the same in every experiment

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
    """Call function(**experiment) for each experiment that has no row in the table, and return all their rows.

    function : returns {measure: number, truth value or text}; measures that it leaves out are missing in the row
    experiments : dicts with the same names, such as `grid` makes: scene, n_sources, n_channels, method, seed, …
    path : CSV file with a column for every name and measure, and one for errors. This process appends a row as soon as
        its run ends. A half-written last line, such as a kill leaves, is removed. A run that raises is a row with its
        error; to repeat it, delete the row. A file with other columns is refused and left as it is.
    n_jobs : processes on this machine, by joblib (-1: one per core)
    scheduler : address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers then run the experiments
    returns the rows of `experiments`, in their order. Line breaks in texts become spaces.
    """
    import pandas as pd
    from tqdm import tqdm

    path, names = Path(path), _names(experiments, measures)
    columns = [*names, *measures, "error"]
    keys = [tuple(_text(value) for value in experiment.values()) for experiment in experiments]
    if len(set(keys)) < len(keys):
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"experiments: {dict(zip(names, twice, strict=True))} is there twice; each must differ")
    finished, size = _finished(path, columns, len(names))
    missing = [experiment for experiment, key in zip(experiments, keys, strict=True) if key not in finished]
    task = _Task(function, tuple(measures))
    rows = _on_cluster(task, missing, scheduler) if scheduler else _on_this_machine(task, missing, n_jobs)
    with path.open("ab") as file:
        file.truncate(size)
        if size == 0:
            file.write(_line(columns))
        for row in tqdm(rows, total=len(keys), initial=len(keys) - len(missing), unit="run", disable=None):
            file.write(_line(row.get(column) for column in columns))
            file.flush()
    finished, _ = _finished(path, columns, len(names))
    table = {name: [experiment[name] for experiment in experiments] for name in names}
    for i, measure in enumerate(measures, start=len(names)):
        table[measure] = [_value(finished[key][i]) for key in keys]
    return pd.DataFrame(table | {"error": [finished[key][-1] for key in keys]})


class _Task:
    """A function that can be sent to another process; it returns the row of an experiment, with any error in it."""

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
        return {**experiment, **found}


def _failed(experiment: Experiment, error: BaseException) -> Row:
    return {**experiment, "error": f"{type(error).__name__}: {error}"}


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
        raise ValueError(f"measures: {twice} would be two columns; names, measures and 'error' must differ")
    return names


def _text(value: Any) -> str:
    """The value on one line; None is nothing."""
    return "" if value is None else " ".join(str(value).splitlines())


def _line(values: Iterable[Any]) -> bytes:
    """The values as a line of the file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_text, values))
    return line.getvalue().encode()


def _value(cell: str) -> Any:
    """The number, truth value or text of a cell; NaN if it is empty."""
    if cell in ("True", "False"):
        return cell == "True"
    for kind in (int, float):
        with suppress(ValueError):
            return kind(cell or "nan")
    return cell


def _finished(path: Path, columns: Sequence[str], n_names: int) -> tuple[dict[tuple[str, ...], list[str]], int]:
    """The cells of each row by the texts of its names, and the size in bytes of the whole lines of the file."""
    content = path.read_bytes() if path.exists() else b""
    if _line(columns).startswith(content):
        return {}, 0
    size = content.rfind(b"\n") + 1
    first, *rows = csv.reader(content[:size].decode("utf-8-sig", "replace").splitlines() or [""])
    if first != list(columns):
        raise ValueError(
            f"{path} does not begin with the columns {','.join(columns)}; it is left as it is: take another"
        )
    return {tuple(row[:n_names]): row for row in rows if len(row) == len(columns)}, size
