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
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas

Row = dict[str, Any]


def grid(**values: Any) -> list[Row]:
    """Every combination of the values; the last name varies fastest.

    values : a list, tuple, range or array of values; anything else, such as a text, is the same in every experiment

    >>> grid(scene=["room", "head"], n_sources=2, seed=range(2))[1:3]
    [{'scene': 'room', 'n_sources': 2, 'seed': 1}, {'scene': 'head', 'n_sources': 2, 'seed': 0}]
    """
    lists = [value if isinstance(value, list | tuple | range | np.ndarray) else [value] for value in values.values()]
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*lists)]


def run_grid(
    function: Callable[..., Row],
    experiments: Sequence[Row],
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
    from joblib import Parallel, delayed
    from tqdm import tqdm

    path, (names, keys) = Path(path), _names_and_keys(experiments, measures)
    columns = [*names, *measures, "error"]
    finished, size = _finished(path, columns, len(names))
    missing = [experiment for experiment, key in zip(experiments, keys, strict=True) if key not in finished]
    task = partial(_row, function, set(measures))
    if scheduler:
        rows = _on_cluster(task, missing, scheduler)
    else:
        rows = Parallel(n_jobs, return_as="generator_unordered", batch_size=1)(delayed(task)(e) for e in missing)
    with path.open("a", newline="", encoding="utf-8") as file:
        file.truncate(size)
        writer = csv.writer(file, lineterminator="\n")
        if size == 0:
            writer.writerow(columns)
        elif not path.read_bytes().endswith(b"\n"):
            file.write("\n")
        for row in tqdm(rows, total=len(keys), initial=len(keys) - len(missing), unit="run", disable=None):
            writer.writerow(_text(row.get(column)) for column in columns)
            file.flush()
    finished, _ = _finished(path, columns, len(names))
    found = [map(_value, finished[key][len(names) : -1]) for key in keys]
    table = [experiment | dict(zip(measures, f, strict=True)) for experiment, f in zip(experiments, found, strict=True)]
    return pd.DataFrame(table).assign(error=[finished[key][-1] for key in keys])


def _row(function: Callable[..., Row], measures: set[str], experiment: Row) -> Row:
    """The row of an experiment, with any error in it."""
    try:
        found = function(**experiment)
        if not measures.issuperset(found):
            raise ValueError(f"function returned {sorted(set(found) - measures)}; measures are {sorted(measures)}")
    except Exception as error:
        return _failed(experiment, error)
    return {**experiment, **found}


def _failed(experiment: Row, error: BaseException) -> Row:
    return {**experiment, "error": f"{type(error).__name__}: {error}"}


def _on_cluster(task: Callable[[Row], Row], experiments: list[Row], scheduler: str) -> Iterator[Row]:
    """Rows as they are finished; a run whose worker dies again and again is a row with that error."""
    from distributed import Client, as_completed

    with Client(scheduler, set_as_default=False) as client:
        futures = dict(zip(client.map(task, experiments, pure=False), experiments, strict=True))
        for future in as_completed(futures, loop=client.loop):
            error = future.exception()
            yield future.result() if error is None else _failed(futures[future], error)


def _names_and_keys(experiments: Sequence[Row], measures: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """The names that all experiments have in common, and the texts of the values of each experiment."""
    if not experiments:
        raise ValueError("experiments is empty; it needs at least one")
    names, keys = list(experiments[0]), []
    for experiment in experiments:
        if list(experiment) != names:
            raise ValueError(f"experiments have different names: {list(experiment)} and {names}; they must be the same")
        keys.append(tuple(map(_text, experiment.values())))
    if twice := _twice(keys):
        raise ValueError(f"experiments: {dict(zip(names, twice[0], strict=True))} is there twice; each must differ")
    if twice := _twice([*names, *measures, "error"]):
        raise ValueError(f"measures: {twice} would be two columns; names, measures and 'error' must differ")
    return names, keys


def _twice(items: list[Any]) -> list[Any]:
    return [item for item, count in Counter(items).items() if count > 1]


def _text(value: Any) -> str:
    """The value on one line; None is nothing."""
    return "" if value is None else " ".join(str(value).splitlines())


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
    size, wanted = content.rfind(b"\n") + 1, ",".join(columns)
    last = content[size:].decode("utf-8", "replace")
    cells = next(csv.reader([last]), [])
    if size and last.count('"') % 2 == 0 and len(cells) == len(columns) and any(cells[n_names:-1]) and not cells[-1]:
        size = len(content)  # the row of a run that succeeded, whose end of line is missing
    if size == 0 and wanted.encode().startswith(content):
        return {}, 0
    first, *rows = csv.reader(content[:size].decode("utf-8-sig", "replace").splitlines() or [""])
    if first != list(columns):
        raise ValueError(f"{path} does not begin with the columns {wanted}; it is left as it is: take another")
    return {tuple(row[:n_names]): row for row in rows if len(row) == len(columns)}, size
