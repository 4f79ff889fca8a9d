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

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas

Experiment = Mapping[str, Any]
Function = Callable[..., Mapping[str, Any]]
Row = dict[str, str]

_CELL = r'"(?:[^"]|"")*"|[^",]*'
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]\d+)?|nan|-?inf")  # as Python writes them


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

    function : returns {measure: number, truth value or text}, all of `measures` or some (the others are missing)
    experiments : dicts with the same names, such as `grid` makes: scene, n_sources, n_channels, method, seed, …
    path : CSV file; a column for every name and measure, and `error`. A row is appended as soon as its run ends, by
        this process alone. Started again after a kill, a half-written last line is removed and only what is missing
        is run. A run that raises is a row with its error; to try it again, delete its line. A file that does not
        begin with these columns is refused and left as it is.
    n_jobs : processes on this machine, by joblib (-1: one per core)
    scheduler : address of a Dask scheduler, such as "tcp://10.0.0.1:8786"; its workers then run the experiments
    returns the rows of `experiments`, in their order, with the values that were given: a text stays a text, which is
        why one that reads as a number ("1") is quoted in the file. Line breaks become spaces.

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
    finished, size, before = _finished(path, columns, len(names))
    missing = [experiment for experiment, key in zip(experiments, keys, strict=True) if key not in finished]
    task = _Task(function, tuple(measures))
    rows = _on_cluster(task, missing, scheduler) if scheduler else _on_this_machine(task, missing, n_jobs)
    with path.open("ab") as file:
        file.truncate(size)
        file.write(before)
        for row in tqdm(rows, total=len(keys), initial=len(keys) - len(missing), unit="run", disable=None):
            file.write((",".join(row.get(column, "") for column in columns) + "\n").encode())
            file.flush()
    finished, *_ = _finished(path, columns, len(names))
    table = {name: [experiment[name] for experiment in experiments] for name in names}
    for i, measure in enumerate(measures, start=len(names)):
        table[measure] = [_value(finished[key][i]) for key in keys]
    return pd.DataFrame(table | {"error": [_unquoted(finished[key][-1]) for key in keys]})


class _Task:
    """One run, wherever it takes place: the experiment and what was measured, or the error, as cells of the file."""

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
        return {name: _cell(value) for name, value in (dict(experiment) | dict(found)).items()}


def _failed(experiment: Experiment, error: BaseException) -> Row:
    cells = {name: _cell(value) for name, value in experiment.items()}
    return cells | {"error": _cell(f"{type(error).__name__}: {error}")}


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
    """The value on one line; None is nothing."""
    return "" if value is None else " ".join(str(value).splitlines())


def _key(experiment: Experiment, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(_text(experiment[name]) for name in names)


def _cell(value: Any) -> str:
    """How the file writes a value: quoted if it holds a comma or quotes, or is a text that reads as something else."""
    text = _text(value)
    if (isinstance(value, str) and _value(text) != text) or set(text) & set(',"'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _value(cell: str) -> Any:
    """The value that `_cell` wrote; NaN for nothing."""
    if not cell:
        return np.nan
    if cell in ("True", "False"):
        return cell == "True"
    if _NUMBER.fullmatch(cell):
        return int(cell) if cell.lstrip("-").isdecimal() else float(cell)
    return _unquoted(cell)


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


def _cells(line: bytes) -> list[str]:
    """The cells of a line as they stand, with their quotes; none if it ends within quotes."""
    text = line.decode("utf-8-sig", "replace").rstrip("\r\n")
    return re.findall(f"(?:^|,)({_CELL})", text) if re.fullmatch(f"({_CELL})(,({_CELL}))*", text) else []


def _finished(path: Path, columns: Sequence[str], n_names: int) -> tuple[dict[tuple[str, ...], list[str]], int, bytes]:
    """What the file holds; it is only read.

    returns {the texts of an experiment's names: the cells of its row}, the size of the file in bytes without a
        half-written last line, and what is to be written before the next row
    """
    content = path.read_bytes() if path.exists() else b""
    header = ",".join(map(_cell, columns)).encode()
    if header.startswith(content):
        return {}, 0, header + b"\n"
    first, *lines = content.splitlines(keepends=True)
    if [_unquoted(cell) for cell in _cells(first)] != list(columns):
        raise ValueError(
            f"{path} does not begin with the columns {','.join(columns)}; it is left as it is: take another"
        )
    size, ended = len(content), content.endswith((b"\n", b"\r"))
    if not ended and not _is_whole(_cells(lines[-1]), len(columns), n_names):
        size, ended = size - len(lines.pop()), True
    rows = [cells for cells in map(_cells, lines) if len(cells) == len(columns)]
    return {tuple(map(_unquoted, row[:n_names])): row for row in rows}, size, b"" if ended else b"\n"


def _is_whole(cells: Sequence[str], n_columns: int, n_names: int) -> bool:
    """Whether a line without an end is a whole row: an error may have been cut, a row without one ends with a comma."""
    return len(cells) == n_columns and not cells[-1] and any(cells[n_names:])
