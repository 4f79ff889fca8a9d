"""tools/run.py on tiny notebooks in a directory of their own."""

import os
import re
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
PARTS = ("read", "clone", "gallery", "chapters", "claims")
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
    for name in ("manifest.csv", "talk_claims.csv", "talk_slides.csv"):
        shutil.copy(ROOT / "data" / name, tmp_path / "data")
    (tmp_path / "CITATION.cff").write_text("title: Tiny\n")
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
    assert sorted(path.name for path in (root / "figures" / "audio").glob("*.mp3")) == [
        "04_tone_tone.mp3",
        "05_kept.mp3",
    ]
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
        ("verdict('C5', cases={'x': Check('x', 1, '>', 0)})", "not its own: verdict C5"),
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


ADDRESS = '[tool.nmflib]\nrepository = "https://github.com/Someone/nmf"\ngallery = []\n'
NO_ADDRESS = '[tool.nmflib]\nrepository = ""\ngallery = []\n'


def test_launch_links_come_from_the_repository_address(run):
    settings = run.ROOT / "pyproject.toml"
    settings.write_text(ADDRESS)
    notebook = new_notebook(cells=[new_markdown_cell("# T\n\nPromise.")])
    for _ in range(2):
        run.prepared(notebook, "04_x")
    text = notebook.cells[0].source
    assert text.startswith("# T\n\nPromise.\n\n")
    assert re.findall(r"\((https://.*?)\)", text) == [
        "https://someone.github.io/nmf/notebooks/04_x.html",
        "https://nbviewer.org/github/Someone/nmf/blob/main/notebooks/04_x.ipynb",
        "https://colab.research.google.com/github/Someone/nmf/blob/main/notebooks/04_x.ipynb",
        "https://mybinder.org/v2/gh/Someone/nmf/main?labpath=notebooks/04_x.ipynb",
    ]
    settings.write_text(NO_ADDRESS)
    assert run.prepared(notebook, "04_x").cells[0].source == "# T\n\nPromise."
    settings.write_text('[tool.nmflib]\nrepository = "somewhere"\ngallery = []\n')
    with pytest.raises(ValueError, match="repository"):
        run.launch_links("04_x")


def test_the_address_is_in_readme_and_citation_once_it_is_set(run, root):
    write_notebook(root, "00_start_here", "1")
    (root / "CITATION.cff").write_text("title: Tiny\n")
    (root / "pyproject.toml").write_text(ADDRESS)
    for _ in range(2):
        run.update_pages()
    assert "`git clone https://github.com/Someone/nmf` and `cd nmf`" in (root / "README.md").read_text()
    assert "https://someone.github.io/nmf/notebooks/00_start_here.html" in (root / "README.md").read_text()
    assert (root / "CITATION.cff").read_text().splitlines() == [
        "title: Tiny",
        'repository-code: "https://github.com/Someone/nmf"',
        'url: "https://someone.github.io/nmf/"',
    ]
    (root / "pyproject.toml").write_text(NO_ADDRESS)
    run.update_pages()
    assert "http" not in (root / "README.md").read_text().split("<!-- gallery -->")[0]
    assert (root / "CITATION.cff").read_text() == "title: Tiny\n"


def test_the_cell_for_colab_is_there_once_an_address_is_set(run):
    settings = run.ROOT / "pyproject.toml"
    settings.write_text(ADDRESS)
    notebook = new_notebook(cells=[new_markdown_cell("# T"), new_code_cell("1")])
    for _ in range(2):
        run.prepared(notebook, "04_x")
    assert [cell.id for cell in notebook.cells[1:]] == ["colab", notebook.cells[2].id]
    nbformat.validate(notebook)
    settings.write_text(NO_ADDRESS)
    assert [cell.source for cell in run.prepared(notebook, "04_x").cells] == ["# T", "1"]


COLAB_WORLD = """
import os, shutil, subprocess, sys, types
from IPython.testing.globalipapp import start_ipython
shell = start_ipython()
commands = []
shell.system = shell.system_piped = shell.system_raw = commands.append
shell.user_ns["commands"] = commands
if sys.argv[2] == "colab":
    sys.modules["google.colab"] = types.ModuleType("google.colab")
    sys.path[:] = [path for path in sys.path if not path or os.path.realpath(path) != os.path.realpath(sys.argv[3])]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
result = shell.run_cell(open(sys.argv[1], encoding="utf-8").read())
assert result.success, result
print(*commands, sep="\\n")
if commands:
    import nmflib.course.scenes
    from nmflib.experiments import repairs
    assert nmflib.course.scenes.load("tabla_cc0")[0].size
    print(nmflib.__file__)
"""


@pytest.mark.parametrize("where", ["colab", "elsewhere"])
def test_the_cell_for_colab_finds_the_collection_and_does_nothing_elsewhere(where, run, tmp_path):
    clone = tmp_path / "content" / "nmf"
    clone.mkdir(parents=True)
    for name in ("nmflib", "data"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    (run.ROOT / "pyproject.toml").write_text(ADDRESS)
    notebook = run.prepared(new_notebook(cells=[new_markdown_cell("# T")]), "04_x")
    (tmp_path / "cell.py").write_text(notebook.cells[1].source.replace("/content", clone.parent.as_posix()))
    (tmp_path / "world.py").write_text(COLAB_WORLD)
    command = [sys.executable, "world.py", "cell.py", where, ROOT]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["IPYTHONDIR"] = str(tmp_path / "ipython")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    if where == "elsewhere":
        assert lines == []
    else:
        assert "https://github.com/Someone/nmf" in lines
        assert {"pip", "pyroomacoustics", "distributed"} <= set(lines)
        assert Path(lines[-1]) == clone / "nmflib" / "__init__.py"
