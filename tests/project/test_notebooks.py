"""The committed notebooks: executed, complete, and in step with figures/. What they compute is compared by nbval."""

import base64
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nmflib.course.claims import CLAIM_COLUMNS, read_table, write_claims

ROOT = Path(__file__).parents[2]
MAX_LINES = 20
AUDIO = re.compile(r"\.\./figures/(audio/[\w.]+\.mp3)")
PICTURE = re.compile(r"\.\./figures/([\w.]+\.png)")


def flaws(root, run):
    """What is wrong with the notebooks and figures of a collection, as sentences; an empty list if nothing is."""
    paths = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    found, drawn, used, verdicts = [], {}, set(), {}
    for i, path in enumerate(paths):
        notebook = nbformat.read(path, as_version=4)
        neighbours = [other.name for other in (*paths[max(i - 1, 0) : i], *paths[i + 1 : i + 2])]
        mine = [*run.objections(notebook), *anatomy(notebook, neighbours, is_start=i == 0)]
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        mine += ["it shows no figure"] * (not pictures)
        for output in pictures:
            if not output.metadata.get("image/png", {}).get("alt"):
                mine.append("a figure has no alternative text")
            match = re.match(r"figures/(.+\.png)", output.data.get("text/plain", ""))
            if match:
                drawn[match[1]] = base64.b64decode(output.data["image/png"])
        texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        texts += [output.data.get("text/html", "") for output in outputs if "data" in output]
        used |= {link for text in texts for pattern in (AUDIO, PICTURE) for link in pattern.findall(text)}
        for output in outputs:
            plain = output.get("data", {}).get("text/plain", "")
            if plain.startswith("claim: "):
                row = dict(line.split(": ", 1) for line in plain.splitlines())
                verdicts[row["claim"]] = row
                mine += [f"it tries {row['claim']} of {row['notebook']}"] * (row["notebook"] != path.stem)
        found += [f"{path.name}: {flaw}" for flaw in mine]

    files = {file.name: file.read_bytes() for file in (root / "figures").glob("*.png")}
    found += [f"figures/{name} is missing" for name in drawn.keys() - files.keys()]
    drawn_elsewhere = {f"{table.stem}.png" for table in (root / "figures").glob("*.csv")}  # beside the table it shows
    found += [f"figures/{name} belongs to no notebook" for name in files.keys() - drawn.keys() - drawn_elsewhere]
    found += [f"figures/{n} differs from what its notebook shows" for n in drawn if n in files and drawn[n] != files[n]]
    sounds = {f"audio/{file.name}" for file in (root / "figures" / "audio").glob("*.mp3")}
    found += [f"figures/{name} is linked to but missing" for name in used - sounds - files.keys()]
    found += [f"figures/{name} belongs to no notebook" for name in sounds - used]

    published = {row["claim"]: row for row in read_table(root / "figures" / "claims.csv")}
    stems = {path.stem for path in paths}
    due = {row["claim"] for row in read_table(root / "data" / "talk_claims.csv") if row["notebook"] in stems}
    found += [f"{claim} has no verdict" for claim in due - verdicts.keys()]
    for claim in sorted(published.keys() | verdicts.keys()):
        if published.get(claim) != verdicts.get(claim):
            found.append(f"claims.csv says {published.get(claim)} and the notebook {verdicts.get(claim)}")
    return found


def anatomy(notebook, neighbours, is_start):
    """The parts every chapter has."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    parts = {
        "title": r"\A# \S",
        "French title and résumé": r"> \*\*En français",
        "goals": r"(?m)^[>#* ]*Goals",
        "references": r"(?m)^#+ References",
        "DOI": r"doi\.org/10\.",
        **({} if is_start else {"exercises": r"(?m)^#+ Exercises", "folded solution": r"<details>"}),
    }
    missing = [f"it has no {part}" for part, pattern in parts.items() if not re.search(pattern, text)]
    missing += [f"it has no link to {name}" for name in neighbours if f"({name})" not in text]
    lengths = [len([line for line in source.splitlines() if line.strip()]) for source in code]
    missing += [f"In [{n}] has {lines} lines" for n, lines in enumerate(lengths, start=1) if lines > MAX_LINES]
    if any("explore(" in source for source in code) and not any("film_strip(" in source for source in code):
        missing.append("it has sliders and no film strip")
    return missing


def test_the_committed_notebooks_have_no_flaw(run):
    assert list((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")), "there are no notebooks"
    run.pages.ROOT = ROOT
    assert flaws(ROOT, run) == []


# ---------------------------------------------------------------- each flaw is found, on a small collection


PNG = b"\x89PNG picture"
ROW = dict.fromkeys(CLAIM_COLUMNS, "x") | {"claim": "C4", "notebook": "04_sine_simulation", "value": "30.3 dB"}
TEXT = """# Sine

> **En français : sinus.** Bref.

**Goals**

# Exercises
<details></details>

## References
https://doi.org/10.1109/x

[next]({other}) <audio src="../figures/audio/04_a.mp3">"""


def output(alt="A line.", **data):
    bundle = {key.replace("_", "/"): value for key, value in data.items()}
    return new_output("display_data", data=bundle, metadata={"image/png": {"alt": alt}} if "image_png" in data else {})


def small_collection(root):
    for directory in ("notebooks", "data", "figures/audio"):
        (root / directory).mkdir(parents=True)
    shutil.copy(ROOT / "data" / "talk_claims.csv", root / "data")
    (root / "figures" / "04_line.png").write_bytes(PNG)
    (root / "figures" / "audio" / "04_a.mp3").write_bytes(b"sound")
    write_claims(root / "figures" / "claims.csv", [ROW])
    picture = base64.b64encode(PNG).decode()
    verdict = "\n".join(f"{column}: {ROW[column]}" for column in CLAIM_COLUMNS)
    for name, other in (
        ("00_start_here", "04_sine_simulation"),
        ("04_sine_simulation", "06_piano_transcription"),
        ("06_piano_transcription", "04_sine_simulation"),
    ):
        cells = [new_markdown_cell(TEXT.format(other=f"{other}.ipynb") + "[start](00_start_here.ipynb)")]
        outputs = [output(image_png=picture, text_plain="a picture")]
        cells.append(new_code_cell("draw()", execution_count=1, outputs=outputs))
        if name.startswith("04"):
            outputs = [output(image_png=picture, text_plain="figures/04_line.png"), output(text_plain=verdict)]
            cells.append(new_code_cell("show()", execution_count=2, outputs=outputs))
        nbformat.write(new_notebook(cells=cells), root / "notebooks" / f"{name}.ipynb")


def change(**fields):
    """A change to the last code cell of chapter 04."""

    def apply(root):
        path = root / "notebooks" / "04_sine_simulation.ipynb"
        notebook = nbformat.read(path, as_version=4)
        for field, value in fields.items():
            notebook.cells[-1][field] = value(notebook.cells[-1][field]) if callable(value) else value
        nbformat.write(notebook, path)

    return apply


def replace(file, old, new):
    def apply(root):
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))

    return apply


def extra(**data):
    return change(outputs=lambda outputs: [*outputs, output(**data)])


CHAPTER = "notebooks/04_sine_simulation.ipynb"


@pytest.mark.parametrize(
    ("spoil", "flaw"),
    [
        (change(execution_count=None, outputs=[]), "In [2] has execution count None"),
        (change(execution_count=3), "In [2] has execution count 3"),
        (change(outputs=[]), "C4 has no verdict"),
        (change(outputs=[new_output("stream", name="stderr", text="careful")]), "In [2] writes to stderr: careful"),
        (change(outputs=[new_output("error", ename="ValueError", evalue="", traceback=[])]), "In [2] shows an error"),
        (extra(text_plain="/home/me/x.wav"), "In [2] shows a path of this machine"),
        (extra(text_html="<b>C:\\Users\\me</b>"), "In [2] shows a path of this machine"),
        (extra(text_plain="<a at 0x7f00>"), "In [2] shows a memory address"),
        (extra(text_plain="x" * 1_000_000), "it has 1.0"),
        (extra(text_plain=str(ROOT)), "where this project or its environment lies"),
        (extra(**{"application/vnd.jupyter.widget-view+json": {}}), "only a live kernel"),
        (extra(image_png="AAAA", text_plain="x", alt=""), "a figure has no alternative text"),
        (change(source="x = 1\n" * 21), "In [2] has 21 lines"),
        (change(source="explore(draw)"), "sliders and no film strip"),
        (
            replace(CHAPTER, '"metadata": {},\n "nbformat"', '"metadata": {"widgets": {}},\n "nbformat"'),
            "metadata.widgets",
        ),
        (replace(CHAPTER, "value: 30.3 dB", "value: 31.3 dB"), "claims.csv says"),
        (replace("figures/claims.csv", "30.3 dB", "31.3 dB"), "claims.csv says"),
        (replace(CHAPTER, "notebook: 04_sine", "notebook: 05_sine"), "it tries C4 of 05_sine_simulation"),
        (lambda root: write_claims(root / "figures" / "claims.csv", []), "claims.csv says None"),
        (lambda root: (root / "figures" / "04_line.png").unlink(), "04_line.png is missing"),
        (lambda root: (root / "figures" / "04_line.png").write_bytes(b"other"), "04_line.png differs"),
        (lambda root: (root / "figures" / "04_more.png").write_bytes(PNG), "04_more.png belongs to no notebook"),
        (lambda root: (root / "figures" / "audio" / "04_a.mp3").unlink(), "04_a.mp3 is linked to but missing"),
        (lambda root: (root / "figures" / "audio" / "04_b.mp3").touch(), "04_b.mp3 belongs to no notebook"),
        (replace(CHAPTER, "# Sine", "Sine"), "no title"),
        (replace(CHAPTER, "En français", "In French"), "no French title and résumé"),
        (replace(CHAPTER, "Goals", "Aims"), "no goals"),
        (replace(CHAPTER, "Exercises", "Work"), "no exercises"),
        (replace(CHAPTER, "details", "b"), "no folded solution"),
        (replace(CHAPTER, "References", "Books"), "no references"),
        (replace(CHAPTER, "doi.org", "x.org"), "no DOI"),
        (replace(CHAPTER, "06_piano", "07_piano"), "no link to 06_piano_transcription.ipynb"),
        (replace(CHAPTER, "00_start", "01_start"), "no link to 00_start_here.ipynb"),
        (replace("notebooks/00_start_here.ipynb", "image/png", "image/x"), "it shows no figure"),
    ],
)
def test_each_flaw_is_found(spoil, flaw, run, tmp_path):
    small_collection(tmp_path)
    assert flaws(tmp_path, run) == []
    spoil(tmp_path)
    run.pages.ROOT = ROOT
    assert any(flaw in sentence for sentence in flaws(tmp_path, run)), flaws(tmp_path, run)
