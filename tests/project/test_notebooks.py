"""The committed notebooks: executed, complete, and in step with figures/. What they compute is compared by nbval."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from nmflib.course.claims import read_table

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
FIGURES = ROOT / "figures"
MAX_LINES = 20
LINK = re.compile(r"\.\./figures/([\w./]+\.(?:mp3|png))")


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def published(notebook):
    """The figures of a notebook that are files, {name: bytes}."""
    found = {}
    for output in outputs(notebook):
        match = re.match(r"figures/(.+\.png)", output.get("data", {}).get("text/plain", ""))
        if match:
            found[match[1]] = base64.b64decode(output.data["image/png"])
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_chapter_has_all_its_parts(path, run):
    run.pages.ROOT = ROOT
    notebook, at = nbformat.read(path, as_version=4), CHAPTERS.index(path)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    neighbours = [other.name for other in (*CHAPTERS[max(at - 1, 0) : at], *CHAPTERS[at + 1 : at + 2])]
    parts = {
        "title": r"\A# \S",
        "French title and résumé": r"> \*\*En français",
        "goals": r"(?m)^[>#* ]*Goals",
        "references": r"(?m)^#+ References",
        "DOI": r"doi\.org/10\.",
        **({"exercises": r"(?m)^#+ Exercises", "folded solution": r"<details>"} if at else {}),
        **{f"link to {name}": rf"\({name}\)" for name in neighbours},
    }
    assert [part for part, pattern in parts.items() if not re.search(pattern, text)] == []
    assert run.objections(notebook) == []
    assert max(len([line for line in source.splitlines() if line.strip()]) for source in code) <= MAX_LINES
    calls = [name for name in ("explore(", "film_strip(") if any(name in source for source in code)]
    assert calls != ["explore("], "sliders and no film strip"
    pictures = [output for output in outputs(notebook) if "image/png" in output.get("data", {})]
    assert pictures and all(output.metadata["image/png"]["alt"] for output in pictures), "no alternative text"


def test_figures_and_sounds_are_those_of_the_notebooks():
    notebooks = [nbformat.read(path, as_version=4) for path in CHAPTERS]
    drawn = {name: picture for notebook in notebooks for name, picture in published(notebook).items()}
    texts = [cell.source for notebook in notebooks for cell in notebook.cells if cell.cell_type == "markdown"]
    texts += [out.data.get("text/html", "") for notebook in notebooks for out in outputs(notebook) if "data" in out]
    linked = {name for text in texts for name in LINK.findall(text)}
    beside_tables = {f"{table.stem}.png" for table in FIGURES.glob("*.csv")}
    files = {file.name: file.read_bytes() for file in FIGURES.glob("*.png") if file.name not in beside_tables}
    assert [name for name in files.keys() | drawn.keys() if files.get(name) != drawn.get(name)] == []
    sounds = {f"audio/{file.name}" for file in FIGURES.glob("audio/*.mp3")}
    assert linked - drawn.keys() == sounds, "a link leads nowhere, or a sound belongs to no notebook"


def test_verdicts_are_those_of_the_notebooks():
    verdicts = {}
    for path in CHAPTERS:
        for output in outputs(nbformat.read(path, as_version=4)):
            plain = output.get("data", {}).get("text/plain", "")
            if plain.startswith("claim: "):
                row = dict(line.split(": ", 1) for line in plain.splitlines())
                assert row["notebook"] == path.stem, f"{path.name} tries {row['claim']} of {row['notebook']}"
                verdicts[row["claim"]] = row
    assert {row["claim"]: row for row in read_table(FIGURES / "claims.csv")} == verdicts
    due = {row["claim"] for row in read_table(ROOT / "data" / "talk_claims.csv") if row["notebook"]}
    assert due - verdicts.keys() == set()


def display(**data):
    return new_output("display_data", data={key.replace("_", "/"): value for key, value in data.items()})


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"execution_count": 3}, "In [1] has execution count 3"),
        ({"outputs": [new_output("error", ename="ValueError", evalue="", traceback=[])]}, "In [1] shows an error"),
        ({"outputs": [display(text_html="<b>C:\\Users\\me</b>")]}, "In [1] shows a path of this machine"),
        ({"outputs": [display(text_plain="x" * 1_000_000)]}, "it has 1.0"),
        ({"outputs": [display(text_plain=str(ROOT))]}, "where this project or its environment lies"),
    ],
)
def test_what_must_not_be_published_is_named(cell, reason, run):
    run.pages.ROOT = ROOT
    notebook = new_notebook(cells=[new_code_cell("1", **({"execution_count": 1} | cell))])
    assert any(reason in sentence for sentence in run.objections(notebook))
    notebook.metadata["widgets"] = {}
    assert "metadata.widgets is present" in run.objections(notebook)
