"""The tables of data/results, with numbers as numbers."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from nmflib.course.claims import read_table
from nmflib.course.scenes import data_folder


def path(name: str) -> Path:
    return data_folder() / "results" / f"{name}.csv"


def read(name: str, **means: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of data/results/{name}.csv whose run ended well.

    A column in which every cell is a number or empty holds numbers, NaN for an empty cell; any other holds texts.
    means : new columns, the means of the columns that are named
    """
    rows: list[dict[str, Any]] = [row for row in read_table(path(name)) if not row.pop("error", "")]
    columns = {column: _numbers([row[column] for row in rows]) for column in (rows[0] if rows else ())}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return [row | {mean: sum(row[key] for key in keys) / len(keys) for mean, keys in means.items()} for row in rows]


def _numbers(cells: list[str]) -> list[Any]:
    for kind in (int, float) if any(cells) else ():
        with suppress(ValueError):
            return [kind(cell or "nan") for cell in cells]
    return cells
