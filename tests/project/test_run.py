"""tools/run.py on tiny notebooks in a directory of their own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nmflib.course.claims import CLAIM_COLUMNS, read_table, write_claims

ROOT = Path(__file__).parents[2]
README = "# Tiny\n" + "".join(f"\n<!-- {name} -->\n<!-- /{name} -->\n" for name in ("gallery", "chapters", "claims"))
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
verdict("C4", Check("length of the line", len(range(3)), ">=", 3))
---
print("one line,"); print("another", len(open("../data/talk_claims.csv").readlines()))
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


def tree(root):
    files = (path for path in root.rglob("*") if path.is_file() and ".staging" not in str(path))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def root(run, tmp_path):
    """A small collection with something already published for chapters 04 and 05."""
    for directory in ("notebooks", "data", "figures/audio"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copy(ROOT / "data" / "talk_claims.csv", tmp_path / "data")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "run.py", tmp_path / "tools")
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "TEACHING.md").write_text(TEACHING)
    (tmp_path / "pyproject.toml").write_text('[tool.nmflib]\nrepository = ""\ngallery = []\n')
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
    assert sorted(path.name for path in (root / "figures").glob("*.png")) == [
        "04_line.png",
        "04_strip.png",
        "05_kept.png",
    ]
    assert sorted(path.name for path in (root / "figures" / "audio").iterdir()) == ["04_tone_tone.mp3", "05_kept.mp3"]
    rows = read_table(root / "figures" / "claims.csv")
    assert [(row["claim"], row["value"]) for row in rows] == [("C4", "3"), ("C5", "")]
    assert "length of the line" in nbformat.read(start, as_version=4).cells[1].outputs[0].text
    assert (
        "[04_sine_simulation \\| tiny](notebooks/04_sine_simulation.ipynb) | Shows a line. | C4 |"
        in (root / "README.md").read_text()
    )
    assert "length of the line: 3" in (root / "README.md").read_text()
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
    for right, wrong in (
        ("value: 3", "value: 4"),
        ("peak −1 dBFS", "peak −2 dBFS"),
        ("n = 2: n is 2", "n = 2: n is 5"),
    ):
        source.write_text(published["notebooks/04_sine_simulation.ipynb"].decode().replace(right, wrong))
        assert source.read_bytes() != published["notebooks/04_sine_simulation.ipynb"]
        checked = nbval(source)
        assert checked.returncode == 1, f"{wrong} was not noticed"
        assert "1 failed" in checked.stdout


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("raise RuntimeError('broken')", "In [2] failed:"),
        ("import warnings; warnings.warn('careful')", "In [2] writes to stderr"),
        ("print('/home' + '/me/file')", "In [2] shows a path of this machine"),
        ("object()", "In [2] shows a memory address"),
        ("import ipywidgets; ipywidgets.interactive(lambda n: n, n=3)", "In [2] has an output that only a live kernel"),
        ("show(plt.figure(), '05_line', 'A line.')", "not its own: 05_line.png"),
        ("verdict('C5', Check('x', 1, '>', 0))", "not its own: verdict C5"),
        ("import os; os._exit(1)", "In [2] failed:"),
    ],
)
def test_a_notebook_with_a_fault_publishes_nothing(cell, reason, run, root, capsys):
    imports = (
        "import matplotlib.pyplot as plt\nfrom nmflib.course.claims import Check, verdict\n"
        "from nmflib.course.figures import show\n"
    )
    imports += "show(plt.figure(), '04_a', 'A.')"
    write_notebook(root, "04_sine_simulation", f"{imports}\n---\n{cell}\n")
    run.update_pages()
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
    cells = (
        "import matplotlib.pyplot as plt\nfrom nmflib.course.figures import show\n"
        "show(plt.figure(), '04_old', 'New.')\n---\n"
        "from pathlib import Path; Path('reached').touch()\nimport time; time.sleep(60)\n"
    )
    write_notebook(root, "04_sine_simulation", cells)
    before = tree(root)
    process = subprocess.Popen([sys.executable, root / "tools" / "run.py"], stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not list(root.glob(".staging-*/reached")):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert tree(root) == before
    assert how == KILLS[0] or not list(root.glob(".staging*"))


def test_an_interruption_while_publishing_leaves_every_file_whole(run, root, monkeypatch):
    source = write_notebook(root, "04_sine_simulation", "1 + 1")
    before, replace = tree(root), os.replace
    stage = root / ".staging-test"

    def publish():
        (stage / "figures" / "audio").mkdir(parents=True, exist_ok=True)
        for file in (
            "figures/04_old.png",
            "figures/04_new.png",
            "figures/audio/04_new.mp3",
            "04_sine_simulation.ipynb",
        ):
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

        monkeypatch.setattr(run.os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            publish()
        monkeypatch.undo()
        monkeypatch.setattr(run, "ROOT", root)
        found = tree(root)
        assert all(content in (before.get(name), after.get(name)) for name, content in found.items())
        assert found.keys() >= before.keys(), "nothing is removed before all is there"


def test_an_unknown_notebook_is_named(run, root):
    write_notebook(root, "04_sine_simulation", "1")
    with pytest.raises(SystemExit, match=r"no notebook is called 17; there are: 04_sine_simulation"):
        run.main(["17"])


def test_cells_keep_their_names(run):
    cells = [new_markdown_cell("# T"), new_code_cell("1"), new_code_cell("2")]
    cells[0]["id"] = "mine"
    del cells[1]["id"], cells[2]["id"]
    (run.ROOT / "pyproject.toml").write_text('[tool.nmflib]\nrepository = ""\ngallery = []\n')
    notebook = run.prepared(nbformat.from_dict({"metadata": {}, "cells": cells}), "04_x")
    assert [cell.id for cell in notebook.cells] == ["mine", "cell-01", "cell-02"]


def test_launch_links_come_from_the_repository_address(run):
    settings = run.ROOT / "pyproject.toml"
    settings.write_text('[tool.nmflib]\nrepository = "https://github.com/someone/nmf"\ngallery = []\n')
    notebook = new_notebook(cells=[new_markdown_cell("# T\n\nPromise.")])
    for _ in range(2):
        run.prepared(notebook, "04_x")
    text = notebook.cells[0].source
    assert text.startswith("# T\n\nPromise.\n\n")
    assert text.count("https://mybinder.org/v2/gh/someone/nmf/main?labpath=notebooks/04_x.ipynb") == 1
    assert text.count("https://colab.research.google.com/github/someone/nmf/blob/main/notebooks/04_x.ipynb") == 1
    settings.write_text('[tool.nmflib]\nrepository = ""\ngallery = []\n')
    assert run.prepared(notebook, "04_x").cells[0].source == "# T\n\nPromise."
    settings.write_text('[tool.nmflib]\nrepository = "somewhere"\ngallery = []\n')
    with pytest.raises(ValueError, match="repository"):
        run.launch_links("04_x")
