"""What the first page and the page of sounds show of the chapters."""

import html
import re

import nbformat
from PIL import Image
from web import ROOT, sources

from nmflib.course.claims import mark, read_table


def counts():
    """For instance "9 ✓ hold · 6 ◐ hold for some cases · 3 ✗ do not hold"."""
    marks = [mark(row["verdict"]) for row in read_table(ROOT / "figures" / "claims.csv")]
    words = {"✓": "hold", "◐": "hold for some cases", "✗": "do not hold"}
    return " · ".join(f"{marks.count(sign)} {sign} {said}" for sign, said in words.items())


def cards(site):
    """The chapters as links with a small picture, the title and the question, in HTML."""
    questions = {row["notebook"]: row["question"] for row in read_table(ROOT / "data" / "talk_slides.csv")}
    folder = site / "cards"
    folder.mkdir()
    found = []
    for source in sources():
        with Image.open(picture(source)) as image:
            small = image.convert("RGB")
            small.thumbnail((560, 560))
            small.save(folder / f"{source.stem[:2]}.webp", quality=75)
        size = f'width="{small.width}" height="{small.height}"'
        question = html.escape(questions.get(source.stem, ""))
        found.append(
            f'<a class="card" href="notebooks/{source.stem}.html">'
            f'<img src="cards/{source.stem[:2]}.webp" alt="" {size} loading="lazy">'
            f"<strong>{html.escape(title(source))}</strong> <span>{question}</span></a>"
        )
    return f'<div class="cards">{"".join(found)}</div>'


def title(source):
    return nbformat.read(source, as_version=4).cells[0].source.splitlines()[0].lstrip("# ").split(": ")[0]


def picture(source):
    """The figure of a chapter that its last link to one names, or else the first that is no film strip."""
    notebook = nbformat.read(source, as_version=4)
    published, said = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            name = re.match(r"figures/(\w+\.png)", output.get("data", {}).get("text/plain", ""))
            if name and "image/png" in output.data and "frames" not in output.metadata["image/png"]:
                published.append(name[1])
        if cell.cell_type == "markdown":
            said += re.findall(r"\.\./figures/(\w+\.png)", cell.source)
    return ROOT / "figures" / (said or published)[-1 if said else 0]


def sounds(notebooks):
    """The tables of players of all chapters, {path: notebook as a web page}, in HTML."""
    found = []
    for source, notebook in notebooks.items():
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        texts = [output.get("data", {}).get("text/html", "") for output in outputs]
        tables = [text.replace('"../figures/', '"figures/') for text in texts if '<table class="sounds">' in text]
        if tables:
            found.append(f"## [{title(source)}](notebooks/{source.name})\n\n" + "\n\n".join(tables))
    return "\n\n".join(found)
