"""Build the slides of the series in build/slides: open index.html, no kernel and no network needed.

python tools/site/slides.py

A rule chooses what is shown: the words between the code, cut where they would not fit, every picture, film strip, sound
and verdict. Code, exercises, references and the long tables stay in the notebooks.
"""

import html
import json
import math
import re
import shutil
import sys
import time

import nbformat
from nbconvert import SlidesExporter
from web import BUILD, ROOT, install_mathjax, install_reveal, megabytes, sources, web_notebook

from nmflib.course.claims import NOT_YET, mark, read_table

SLIDES = BUILD / "slides"
NOT_SHOWN = ("Exercises", "Solutions", "References", "Symbols and words", "The map", "The claims on trial")
ROOM = 17  # lines of text on a full slide, a line being LETTERS long and LINE pixels high
TEXT = 11  # lines at which a text is cut; what remains follows on the same slide if it is short
LETTERS, LINE = 85, 39
LINES = 14  # of printed output on one slide


def main():
    start = time.perf_counter()
    shutil.rmtree(SLIDES, ignore_errors=True)
    shutil.copytree(ROOT / "figures", SLIDES / "figures")
    chapters = [shown(web_notebook(source, SLIDES / "figures")) for source in sources()]
    deck = nbformat.v4.new_notebook(cells=[*opening(), *(cell for cells in chapters for cell in cells), *closing()])
    exporter = SlidesExporter(extra_template_basedirs=[str(ROOT / "tools" / "site")], template_name="slides")
    page, _ = exporter.from_notebook_node(deck, resources={"metadata": {"name": "NMF, put on trial"}})
    (SLIDES / "index.html").write_text(page, encoding="utf-8")
    install_mathjax(SLIDES / "mathjax")
    install_reveal(SLIDES / "reveal")
    for name in ("frames.js", "icon.svg"):
        shutil.copyfile(ROOT / "tools" / "site" / "static" / name, SLIDES / name)
    for name in ("slides.js", "slides.css"):
        shutil.copyfile(ROOT / "tools" / "site" / "slides" / name, SLIDES / name)
    count = sum(cell.metadata.slideshow.slide_type in ("slide", "subslide") for cell in deck.cells)
    print(f"build/slides/index.html: {count} slides, {megabytes(SLIDES):.0f} MB, {time.perf_counter() - start:.0f} s")


def opening():
    text = """# NMF for audio source separation, put on trial

Factorisation en matrices non négatives pour la séparation de sources audio

→ the next chapter · ↓ within a chapter · Esc all slides"""
    return [slide_of(text, "slide")]


def closing():
    """The balance: every claim of the talk with its verdict, nine on a slide."""
    verdicts = {row["claim"]: row["verdict"] for row in read_table(ROOT / "figures" / "claims.csv")}
    rows = []
    for row in read_table(ROOT / "data" / "talk_claims.csv"):
        verdict = verdicts.get(row["claim"], NOT_YET)
        rows.append(f"| {row['claim']} | {row['statement']} | {mark(verdict)} {verdict} |".replace("\n", " "))
    head = ["# The balance", "", "| | the talk says | |", "|---|---|---|"]
    return [slide_of("\n".join([*head, *rows[:9]]), "slide"), slide_of("\n".join([*head, *rows[9:]]), "subslide")]


def shown(notebook):
    """The cells of one chapter's slides, each with its slide metadata."""
    cells, heading = [], ""
    room = 0.0  # lines that the slide can still take
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for part in re.split(r"\n(?=#{1,3} )", without_links(cell.source)):
                if part.startswith("#"):
                    heading = part.split("\n")[0].lstrip("# ")
                    room = 0
                if heading.startswith(NOT_SHOWN):
                    continue
                for text in pieces(part):
                    kind = "subslide" if text_lines(text) > room else "fragment" if text.startswith("**Answer") else "-"
                    cells.append(slide_of(text, kind))
                    room = (ROOM if kind == "subslide" else room) - text_lines(text)
        elif "solution" not in cell.metadata.get("tags", ()) and not heading.startswith(NOT_SHOWN):
            for output in cell.outputs:
                content = output.get("text") or output.get("data", {}).get("text/html", "")
                if not fits(content):
                    continue
                kind = "subslide" if output_lines(content) > room else "-"
                code = nbformat.v4.new_code_cell(outputs=[output], metadata={"slideshow": {"slide_type": kind}})
                cells.append(code)
                room = (ROOM if kind == "subslide" else room) - output_lines(content)
    cells[0].metadata.slideshow.slide_type = "slide"
    return [with_figures_beside(cell) for cell in cells]


def with_figures_beside(cell):
    """The cell with links to figures/, which lies beside the slides."""
    for output in cell.get("outputs", ()):
        if "data" in output:
            output.data["text/html"] = output.data["text/html"].replace('"../figures/', '"figures/')
    return cell


def fits(content):
    """Whether an output is for a slide: not the long, not tables without players, not pictures that need a kernel."""
    if not content.strip() or 'class="live"' in content or content.count("\n") > LINES:
        return False
    return "<audio" in content or not content.startswith("<table")


def slide_of(text, kind):
    return nbformat.v4.new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}})


def pieces(text):
    """A text cut between paragraphs where it would not fit on a slide, but not after a colon."""
    parts = [""]
    for paragraph in text.split("\n\n"):
        longer = f"{parts[-1]}\n\n{paragraph}".strip()
        if text_lines(longer) > TEXT and text_lines(parts[-1]) > 2 and not parts[-1].endswith(":"):
            parts.append(paragraph)
        else:
            parts[-1] = longer
    return parts


def text_lines(text):
    """How many lines a Markdown text takes."""
    count = 0.0
    for line in text.split("\n"):
        if line.startswith("#"):
            count += 2
        elif line.startswith("$$"):
            count += 2.5
        elif line.strip("> |-"):
            count += math.ceil(len(re.sub(r"\\\w+|[{}$*]", "", line)) / LETTERS)
        else:
            count += 0.4
    return count


def output_lines(content):
    """How many lines an output takes: a picture 950 pixels wide, a film strip as one frame with slider and text."""
    if frames := re.match("<figure data-frames='(.*?)'", content):
        boxes = [frame["box"] for frame in json.loads(html.unescape(frames[1]))]
        width, height = (max(box[side] for box in boxes) for side in (2, 3))
        return min(400, 1100 * height / width) / LINE + 3
    if content.startswith("<figure"):
        width, height = (int(n) for n in re.search(r'width="(\d+)" height="(\d+)"', content).groups())
        return min(560, 950 * height / width) / LINE + 1.5
    if not content.startswith("<"):
        return 0.7 * sum(math.ceil(len(line) / 121) for line in content.strip().split("\n")) + 0.5
    words = re.sub(r"<table.*?</table>|<[^>]*>", "", content, flags=re.DOTALL)
    return content.count("<tr") + 0.5 + (3 + len(words) / LETTERS if words.strip() else 0)


def without_links(text):
    """Links to chapters go to their slides; the line from chapter to chapter is not needed."""
    text = re.sub(r"\n\n\[(←|start\]).*$", "", text)
    for number, source in enumerate(sources(), start=1):
        text = re.sub(rf"\]\({source.stem}\.ipynb[^)]*\)", f"](#/{number})", text)
    return re.sub(r"\[([^\]]*)\]\((?!#|https?:)[^)]*\)", r"\1", text)


if __name__ == "__main__":
    sys.exit(main())
