"""The figures that have a `grid=`, for all its values: in build/grids, kept while nothing they need changes.

python tools/site/grids.py FILE    for one notebook, or a program such as idea.py
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import symtable
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from web import BUILD, ROOT, sources

GRIDS = BUILD / "grids"
IDEA = ROOT / "tools" / "site" / "idea.py"


def all_grids():
    """Compute what is not there yet, two files at a time; returns {(stem, cell number): (directory, grid)}."""
    files = [IDEA, *(source for source in sources() if explorers(cells_of(source)))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(start, sorted(files, key=lambda file: -file.stat().st_size)):
            if done.returncode:
                raise SystemExit(f"{done.args[-1]}: {done.stderr}")
    found = {}
    for file in files:
        for number in explorers(cells_of(file)):
            folder = GRIDS / f"{file.stem[:2]}_{number}"
            found[file.stem, number] = folder, json.loads((folder / "grid.json").read_text("utf-8"))
    return found


def start(file):
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
    environment = os.environ | threads | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, __file__, file], env=environment, capture_output=True, text=True)


def main(file):
    cells = cells_of(file)
    stale = {}
    for number in explorers(cells):
        run = needed(cells, number)
        key = digest("\n".join(cells[i] for i in run))
        folder = GRIDS / f"{file.stem[:2]}_{number}"
        if not (folder / "key").exists() or (folder / "key").read_text() != key:
            stale[number] = folder, key, run
    namespace = {"__name__": "__main__"}
    for number in sorted({i for _, _, run in stale.values() for i in run}):
        folder, key, _ = stale.get(number, (None, None, None))
        if folder:
            for old in folder.glob("*"):
                old.unlink()
            os.environ["NMFLIB_GRID"] = str(folder)
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(cells[number], f"{file.name}, cell {number}", "exec"), namespace)
        if folder:
            del os.environ["NMFLIB_GRID"]
            (folder / "key").write_text(key)


def cells_of(file):
    """The sources of a notebook's cells, those that are no code empty; a program is one cell."""
    if file.suffix == ".py":
        return [file.read_text("utf-8")]
    return [cell.source if cell.cell_type == "code" else "" for cell in nbformat.read(file, as_version=4).cells]


def explorers(cells):
    """Numbers of the cells that show a figure with a grid."""
    return [number for number, source in enumerate(cells) if "explore(" in source and "grid=" in source]


def needed(cells, number):
    """Numbers of the cells that must run so that cell `number` can: those that make the names it uses, and so on."""
    wanted, run = names(cells[number])[1], [number]
    for earlier in reversed(range(number)):
        made, used = names(cells[earlier])
        if made & wanted:
            run.append(earlier)
            wanted = wanted | used
    return sorted(run)


def names(source):
    """The global names that a cell makes, and those that it uses, in its functions too."""
    made, used, tables = set(), set(), [symtable.symtable(source, "cell", "exec")]
    top = tables[0]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table is top and (symbol.is_assigned() or symbol.is_imported()):
                made.add(symbol.get_name())
            if symbol.is_referenced() and (table is top or symbol.is_global()):
                used.add(symbol.get_name())
    return made, used


def digest(source):
    """A key of the cells and of the library they use."""
    library = sorted([*(ROOT / "nmflib").glob("*.py"), *(ROOT / "nmflib" / "course").glob("*.py")])
    content = [source.encode(), *(file.read_bytes() for file in library)]
    return hashlib.sha256(b"\0".join(content)).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
