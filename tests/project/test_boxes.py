"""What `make app` takes of a chapter: the statements that a box needs, and no more."""

import ast
import io
import sys
from pathlib import Path

import nbformat
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "app"))
import app  # noqa: E402

CHAPTER = """
import numpy as np
from nmflib.course import plot
plot.style()
scale, unused = 2, 3
alt = "an earlier one"
rows = {}
for k in range(3):
    rows.setdefault(k, []).append(k)
print(rows)
film_strip(draw, alt)
def draw(r):
    rows[r] = helper(r)
    return rows
def helper(r):
    other = r
    return offset * other if plot else 0
offset = 1
offset = offset + scale
alt = "the one that is shown"
other = 5
explore(draw, alt, r=np.ones(1))
"""


def taken(source):
    statements = ast.parse(source).body
    return ast.unparse(app.function("04", statements, [statements[-1]]))


def test_a_box_takes_what_it_needs_in_order():
    code = taken(CHAPTER)
    for needed in (
        "plot.style()",
        "rows = {}",
        "rows.setdefault",
        "def helper",
        "offset = offset + scale",
        "import numpy",
    ):
        assert needed in code
    for idle in ("print", "film_strip", "other = 5", "an earlier one"):
        assert idle not in code
    shown = []
    namespace = {"plot": True, "explore": lambda draw, alt, r: shown.append((draw(2), alt))}
    exec(code.replace("from nmflib.course import plot", "").replace("plot.style()", ""), namespace)
    namespace["box_04"]()
    assert shown == [({0: [0], 1: [1], 2: 6}, "the one that is shown")]


def test_every_chapter_has_a_box_and_there_is_one_panel():
    sources = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    boxes = [box for source in sources for box in app.boxes_of(source)]
    assert sorted(name for name, *_ in boxes) == [*(s.stem.replace("_", " ") for s in sources), "your own recording"]
    assert all(title and said for _, title, said, _ in boxes)
    cells = app.app_notebook().cells
    for cell in cells:
        ast.parse(cell.source)
    assert len(cells) == len(boxes) + 2


@pytest.mark.parametrize("tag", ["solution", "other"])
def test_a_solution_is_no_box(tag, tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# 04 · Title\n\nA promise.\n\n## Play")]
    cells.append(nbformat.v4.new_code_cell("explore(1)", metadata={"tags": [tag]}))
    path = tmp_path / "04_x.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    assert len(list(app.boxes_of(path))) == (tag == "other")


def test_the_panel_begins_with_a_stereo_file(monkeypatch):
    """What a call changes in its arguments is not seen by `app.names`: the file must come from a function."""
    given = []
    monkeypatch.setattr("nmflib.course.upload.separate_upload", lambda file, alt: given.append(file))
    ((*_, code),) = [box for box in app.boxes_of(ROOT / "notebooks" / "12_two_microphones.ipynb") if box[0][0] == "y"]
    namespace = {}
    exec(ast.unparse(code), namespace)
    namespace["box_own"]()
    ((name, content),) = given
    info = soundfile.info(io.BytesIO(content))
    assert name == "two_talkers.flac" and info.channels == 2 and info.duration > 5
