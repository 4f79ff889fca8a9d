"""tools/run.py on tiny notebooks in a directory of their own."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nmflib.course.claims import CLAIM_COLUMNS, read_table, write_claims

ROOT = Path(__file__).parents[2]
PARTS = ("read", "clone", "chapters", "claims")
README = "# Tiny\n" + "".join(f"\n<!-- {name} -->\n<!-- /{name} -->\n" for name in PARTS)
TEACHING = "# Guide\n\n<!-- exercises -->\n<!-- /exercises -->\n"
TOUR = """
import warnings
import matplotlib.pyplot as plt
import numpy as np
from ipywidgets import IntSlider
from nmflib.course.explore import explore
from nmflib.course.claims import Check, verdict
from nmflib.course.figures import film_strip, show
from nmflib.course.listen import listen

def draw(n):
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot(np.arange(n))
    return fig, f"n is {n}", {"tone": (np.sin(np.arange(800) * n / 9), 8000)}
---
show(draw(3)[0], "04_line", "A line.")
---
film_strip(draw, "04_strip", "Three lines.", n=[1, 2, 3])
---
explore(draw, "A line to change.", n=IntSlider(value=3, min=1, max=9))
---
listen({"tone": np.sin(np.arange(800) / 9)}, 8000, "04_tone")
---
verdict("C4", cases={"line": Check("length of the line", len(range(3)), ">=", 3)})
---
print("one line,", flush=True); print("another", len(open("../data/talk_claims.csv").readlines()))
"""
LAST = """
print(open("../figures/claims.csv").read() if __import__("os").path.exists("../figures/claims.csv") else "none")
"""


def write_notebook(root, name, cells):
    codes = [new_code_cell(cell.strip()) for cell in cells.split("---\n")]
    first = new_markdown_cell(f"# {name} | tiny\n\nShows a\nline.\n\nMore.")
    path = root / "notebooks" / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=[first, *codes]), path)
    return path


def set_address(root, address):
    (root / "pyproject.toml").write_text(f'[tool.nmflib]\nrepository = "{address}"\n')


def tree(root):
    files = (path for path in root.rglob("*") if path.is_file() and ".staging" not in str(path))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def root(run, tmp_path):
    """A small collection with something already published for chapters 04 and 05."""
    for directory in ("notebooks", "data", "figures/audio"):
        (tmp_path / directory).mkdir(parents=True)
    for name in ("manifest.csv", "talk_claims.csv", "talk_slides.csv"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data")
    (tmp_path / "tools").mkdir()
    for name in ("run.py", "pages.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "TEACHING.md").write_text(TEACHING)
    set_address(tmp_path, "")
    for file in ("04_old.png", "audio/04_old.mp3", "05_kept.png", "audio/05_kept.mp3"):
        (tmp_path / "figures" / file).write_bytes(b"old")
    rows = [dict.fromkeys(CLAIM_COLUMNS, "") | {"claim": c, "verdict": "holds"} for c in ("C4", "C5")]
    rows[0]["notebook"], rows[1]["notebook"] = "04_sine_simulation", "05_discontinuity_error"
    write_claims(tmp_path / "figures" / "claims.csv", rows)
    return tmp_path


def nbval(notebook):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--nbval"]
    command += ["--nbval-current-env", "--nbval-sanitize-with", ROOT / "tests" / "nbval_sanitize.cfg", notebook]
    return subprocess.run(command, capture_output=True, text=True, cwd=notebook.parent)


def test_a_notebook_is_published_and_its_outputs_are_reproduced(run, root, capsys):
    source = write_notebook(root, "04_sine_simulation", TOUR)
    start = write_notebook(root, "00_start_here", LAST)
    other = write_notebook(root, "05_discontinuity_error", "1 / 0")
    untouched = other.read_bytes()

    assert run.main(["04"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["04_sine_simulation", "00_start_here"]
    assert "2 figures, 1 sounds, 1 verdicts" in lines[0]
    drawn = {path.name for path in (root / "figures").rglob("*.*") if path.suffix in (".png", ".mp3")}
    assert drawn == {"04_line.png", "04_strip.png", "05_kept.png", "04_tone_tone.mp3", "05_kept.mp3"}
    rows = read_table(root / "figures" / "claims.csv")
    assert [(row["claim"], row["value"]) for row in rows] == [("C4", "3"), ("C5", "")]
    assert "length of the line" in nbformat.read(start, as_version=4).cells[1].outputs[0].text
    page = (root / "README.md").read_text(encoding="utf-8")
    assert "[04_sine_simulation \\| tiny](notebooks/04_sine_simulation.ipynb) | Are two switched sine waves" in page
    assert "| ✓&nbsp;holds | [04](notebooks/04_sine_simulation.ipynb) |" in page
    assert "(04_tone_tone.mp3)" in (root / "figures" / "audio" / "README.md").read_text(encoding="utf-8")
    assert other.read_bytes() == untouched
    assert not list(root.glob(".staging*"))
    assert not {"application/vnd.jupyter.widget-view+json", '"widgets"', "iopub"} & set(source.read_text().split())
    assert nbformat.read(source, as_version=4).cells[7].outputs[0].text == "one line,\nanother 19\n"
    assert run.objections(nbformat.read(source, as_version=4)) == []

    published = tree(root)
    assert run.main(["04"]) == 0
    assert tree(root) == published, "a second run gives the same bytes"

    checked = nbval(source)
    assert "7 passed" in checked.stdout, checked.stdout
    assert tree(root).keys() - published.keys() == set(), "a test's re-run writes nothing"
    text = published["notebooks/04_sine_simulation.ipynb"].decode()
    for right, wrong in (("value: 3", "value: 4"), ("−1 dBFS", "−2 dBFS"), ("n = 2: n is 2", "n = 2: n is 5")):
        assert right in text
        text = text.replace(right, wrong)
    source.write_text(text)
    assert "3 failed" in nbval(source).stdout, "a changed output is not noticed"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("raise RuntimeError('broken')", "In [2] failed:"),
        ("import warnings; warnings.warn('careful')", "In [2] writes to stderr"),
        ("print('/home' + '/me/file')", "In [2] shows a path of this machine"),
        ("object()", "In [2] shows a memory address"),
        ("import ipywidgets; ipywidgets.interactive(lambda n: n, n=3)", "In [2] has an output that only a live kernel"),
        ("show(plt.figure(), '05_line', 'A line.')", "not its own: 05_line.png"),
        ("verdict('C5', cases={'x': Check('x', 1, '>', 0)})", "not its own: verdict C5"),
        ("import os; os._exit(1)", "In [2] failed:"),
    ],
)
def test_a_notebook_with_a_fault_publishes_nothing(cell, reason, run, root, capsys):
    write_notebook(root, "04_sine_simulation", f"{TOUR.split('---')[0]}\nshow(draw(3)[0], '04_a', 'A.')\n---\n{cell}\n")
    run.pages.update()
    before = tree(root)
    assert run.main([]) == 1
    message = capsys.readouterr().err
    assert "04_sine_simulation  NOT PUBLISHED" in message
    assert reason in message
    assert tree(root) == before
    assert not list(root.glob(".staging*"))


def test_a_cell_that_hangs_is_a_fault(run, root, capsys, monkeypatch):
    monkeypatch.setattr(run, "CELL_SECONDS", 2)
    write_notebook(root, "04_sine_simulation", "import time; time.sleep(60)")
    assert run.main([]) == 1
    assert "In [1] failed:" in capsys.readouterr().err


def test_an_early_fault_does_not_stop_the_others(run, root, capsys):
    write_notebook(root, "01_nmf_principle", "1 / 0")
    write_notebook(root, "02_divergences_and_updates", "1 + 1")
    assert run.main([]) == 1
    captured = capsys.readouterr()
    assert "ZeroDivisionError" in captured.err
    assert captured.out.startswith("02_divergences_and_updates")


KILLS = [signal.SIGTERM] if sys.platform == "win32" else [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("how", KILLS)  # the first of them gives no time to tidy up
def test_a_kill_leaves_every_file_whole(how, root):
    last = "from pathlib import Path; Path('reached').touch()\nimport time; time.sleep(60)"
    write_notebook(root, "04_sine_simulation", f"{TOUR.split('---')[0]}\nshow(draw(3)[0], '04_old', 'N.')\n---\n{last}")
    before = tree(root)
    process = subprocess.Popen([sys.executable, root / "tools" / "run.py"], stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not list(root.glob(".staging-*/reached")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0 and b"NOT PUBLISHED" not in errors, "an interruption is no fault of the notebook"
    assert tree(root) == before
    assert how == KILLS[0] or not list(root.glob(".staging*"))


def test_an_interruption_while_publishing_leaves_every_file_whole(run, root, monkeypatch):
    source = write_notebook(root, "04_sine_simulation", "1 + 1")
    before, replace = tree(root), os.replace
    stage = root / ".staging-test"

    def publish():
        (stage / "figures" / "audio").mkdir(parents=True, exist_ok=True)
        for file in ("figures/04_old.png", "figures/04_new.png", "figures/audio/04_new.mp3", source.name):
            (stage / file).write_bytes(b"new " * 1000)
        row = dict.fromkeys(CLAIM_COLUMNS, "new") | {"claim": "C4", "notebook": source.stem}
        write_claims(stage / "figures" / "claims.csv", [row])
        run.publish(source, stage)

    publish()
    after = tree(root)
    assert after.keys() - before.keys() == {"figures/04_new.png", "figures/audio/04_new.mp3"}
    assert before.keys() - after.keys() == {"figures/audio/04_old.mp3"}
    for survived in range(5):
        for name in tree(root):
            (root / name).unlink()
        for name, content in before.items():
            (root / name).write_bytes(content)
        left = iter(range(survived))

        def interrupted(old, new, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            replace(old, new)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "replace", interrupted)
            publish()
        found = tree(root)
        assert all(content in (before.get(name), after.get(name)) for name, content in found.items())
        assert found.keys() >= before.keys(), "nothing is removed before all is there"


def test_an_unknown_notebook_is_named(run, root):
    write_notebook(root, "04_sine_simulation", "1")
    with pytest.raises(SystemExit, match=r"no notebook is called 17; there are: 04_sine_simulation"):
        run.main(["17"])


def test_cells_keep_their_names(run, root):
    cells = [new_markdown_cell("# T"), new_code_cell("1"), new_code_cell("2")]
    cells[0]["id"] = "mine"
    del cells[1]["id"], cells[2]["id"]
    notebook = run.prepared(nbformat.from_dict({"metadata": {}, "cells": cells}), "04_x")
    assert [cell.id for cell in notebook.cells] == ["mine", "cell-01", "cell-02"]


ADDRESS = "https://github.com/Someone/nmf"


def test_once_an_address_is_set_chapters_have_launch_links_and_a_cell_for_colab(run, root):
    set_address(root, ADDRESS)
    notebook = new_notebook(cells=[new_markdown_cell("# T\n\nPromise."), new_code_cell("1")])
    for _ in range(2):
        run.prepared(notebook, "04_x")
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells[1:]] == ["colab", notebook.cells[2].id]
    text = notebook.cells[0].source
    assert text.startswith("# T\n\nPromise.\n\n")
    assert re.findall(r"\((https://.*?)\)", text) == [
        "https://someone.github.io/nmf/notebooks/04_x.html",
        "https://nbviewer.org/github/Someone/nmf/blob/main/notebooks/04_x.ipynb",
        "https://colab.research.google.com/github/Someone/nmf/blob/main/notebooks/04_x.ipynb",
        "https://mybinder.org/v2/gh/Someone/nmf/main?labpath=notebooks/04_x.ipynb",
    ]
    set_address(root, "")
    assert [cell.source for cell in run.prepared(notebook, "04_x").cells] == ["# T\n\nPromise.", "1"]
    set_address(root, "somewhere")
    with pytest.raises(ValueError, match="repository"):
        run.launch_links("04_x")


def test_the_address_is_in_readme_once_it_is_set(run, root):
    write_notebook(root, "00_start_here", "1")
    set_address(root, ADDRESS)
    for _ in range(2):
        run.pages.update()
    text = (root / "README.md").read_text()
    assert "`git clone https://github.com/Someone/nmf` and `cd nmf`" in text
    assert "https://someone.github.io/nmf/notebooks/00_start_here.html" in text
    set_address(root, "")
    run.pages.update()
    assert "http" not in (root / "README.md").read_text().split("<!-- chapters -->")[0]


@pytest.mark.parametrize("is_colab", [True, False])
def test_the_cell_for_colab_clones_installs_and_does_nothing_elsewhere(is_colab, run, root, monkeypatch):
    set_address(root, ADDRESS)
    cell = run.prepared(new_notebook(cells=[new_markdown_cell("# T")]), "04_x").cells[1]
    shell, before = Mock(), list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    if is_colab:
        monkeypatch.setitem(sys.modules, "google.colab", Mock())
    exec(TransformerManager().transform_cell(cell.source), {"get_ipython": lambda: shell})
    assert sys.path == ["/content/nmf"] * is_colab + before
    commands = " ".join(call.args[0] for call in shell.system.call_args_list).split()
    assert commands == [] or is_colab
    assert not is_colab or {ADDRESS, "/content/nmf", "pip", "pyroomacoustics", "distributed"} <= set(commands)
