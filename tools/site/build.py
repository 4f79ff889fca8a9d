"""Build the site of the executed notebooks in build/site: open index.html, no kernel and no network needed.

python tools/site/build.py
"""

import json
import re
import shutil
import sys
import time

import nbformat
from grids import all_grids
from landing import cards, counts, sounds
from sphinx.cmd.build import build_main
from web import BUILD, ROOT, install_mathjax, megabytes, sources, web_notebook

from nmflib.course.claims import claims_markdown, claims_summary

PAGES = ROOT / "tools" / "site" / "pages"
STAGE, SITE = BUILD / "site-source", BUILD / "site"
COMPUTED = "04_sine_simulation"  # whose figure with controls compute.js computes in the page, instead of a grid


def main():
    start = time.perf_counter()
    for folder in (STAGE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    (STAGE / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "figures", SITE / "figures")
    print("the figures with controls …", flush=True)
    grids = all_grids()
    for (stem, _), (folder, _) in grids.items():
        if stem != COMPUTED:
            shutil.copytree(folder, SITE / "grids" / folder.name, ignore=shutil.ignore_patterns("*.json", "key"))
    print(f"the pages … ({time.perf_counter() - start:.0f} s so far)", flush=True)
    notebooks = {source: chapter(web_notebook(source, SITE / "figures")) for source in sources()}
    for source, notebook in notebooks.items():
        for number, cell in enumerate(notebook.cells):
            if (source.stem, number) in grids:
                with_controls(cell, source.stem == COMPUTED, *grids[source.stem, number])
        (STAGE / "notebooks" / source.name).write_text(nbformat.writes(notebook), encoding="utf-8")
    for name, text in pages(notebooks, grids["idea", 0]).items():
        (STAGE / name).write_text(text, encoding="utf-8")
    install_mathjax(SITE / "_static" / "mathjax")
    options = ["-q", "-W", "--keep-going", "-j", "2", "-c", str(ROOT / "tools" / "site"), "-d", str(BUILD / "doctrees")]
    if build_main([*options, str(STAGE), str(SITE)]):
        return 1
    for source in sources():  # what the download button gives: the notebook itself
        shutil.copyfile(source, SITE / "_sources" / "notebooks" / source.name)
    for file in SITE.rglob("*.map"):  # for who debugs the theme
        file.unlink()
    write_excerpts()
    print(f"build/site/index.html: {megabytes(SITE):.0f} MB, {time.perf_counter() - start:.0f} s")
    return 0


def chapter(notebook):
    """The notebook with folded solutions, French marked as French, DOIs as links; files it links to are staged.

    Imports, and calls that show a picture with controls, are folded as the cells that draw are.
    """
    for cell in notebook.cells:
        tags = cell.metadata.setdefault("tags", [])
        if "solution" in tags:
            tags.append("hide-cell")
        elif cell.cell_type == "code" and re.search(r"^(import matplotlib|explore\(|film_strip\()", cell.source, re.M):
            tags.append("hide-input")
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("> **En français", "{.language-fr}\n> **En français")
            cell.source = re.sub(r"(?<![<(\[\"])(https://doi\.org/[^\s<>]+[\w/])", r"<\1>", cell.source)
            for linked in re.findall(r"\]\(\.\./([^)#]+)\)", cell.source):
                (STAGE / linked).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / linked, STAGE / linked)
    return notebook


def with_controls(cell, is_computed, folder, grid):
    """Put the figure with controls where the cell shows the picture of its first setting.

    is_computed : leave the picture, to which compute.js gives its controls
    """
    for output in cell.outputs:
        text = output.get("data", {}).get("text/html", "")
        if is_computed and '<span class="live">' in text:
            said = "Your browser computes it, from the tones to the sounds."
            text = re.sub(r'(?<=<span class="live">).*?(?=</span>)', said, text)
            output.data["text/html"] = text.replace("<figure", '<figure class="computes"', 1)
        elif '<span class="live">' in text:
            alt = re.search(r'alt="(.*?)"', text)[1]
            output.data["text/html"] = explorer(f"../grids/{folder.name}/", grid, alt)


def explorer(folder, grid, alt):
    """A <figure> that explore.js gives its controls.

    folder : where the files of the grid are, seen from the page
    alt : escaped
    """
    at = 0
    for control in grid["controls"]:
        at = at * len(control["values"]) + control["start"]
    first = grid["frames"][at]
    width, height = first["size"]
    facts = json.dumps({"folder": folder} | grid, ensure_ascii=False).replace("<", "\\u003c")
    return (
        f'<figure class="explore"><script type="application/json">{facts}</script>'
        f'<img src="{folder}{first["picture"]}" alt="{alt}" width="{width}" height="{height}">'
        f"<figcaption>{alt}</figcaption></figure>"
    )


def pages(notebooks, idea):
    """The site's other pages, {file name: Markdown}."""
    found = {page.name: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    found["teaching.md"] = stacked((ROOT / "TEACHING.md").read_text("utf-8"))
    folder, grid = idea
    alt = "The spectrogram of a piano, the spectra of its parts at the left, and above it when each part sounds."
    facts = {"counts": counts(), "claims": claims_markdown(ROOT), "summary": claims_summary(ROOT)}
    facts |= {"idea": explorer(f"grids/{folder.name}/", grid, alt), "cards": cards(SITE)}
    found["index.md"] = filled(found["index.md"], **facts)
    found["listen.md"] = filled(found["listen.md"], sounds=sounds(notebooks))
    found["glossary.md"] = filled(found["glossary.md"], words=glossary())
    _, clips = (ROOT / "data" / "README.md").read_text("utf-8").split("\n", 1)  # its title is that of the page
    found["sounds.md"] = filled(found["sounds.md"], clips=stacked(clips))
    found["licence.md"] = filled(found["licence.md"], licence=(ROOT / "LICENSE").read_text("utf-8"))
    return found


def write_excerpts():
    """The words of all pages for the search page, which may not read other files when it is opened as one itself."""
    words = {}
    for page in [*SITE.glob("*.html"), *SITE.glob("notebooks/*.html")]:
        article = re.search(r"<article.*?</article>", page.read_text("utf-8"), re.DOTALL)
        if article:
            unread = r"<(script|style|mjx-container).*?</\1>|<a class=.headerlink.*?</a>"
            text = re.sub(unread, "", article[0], flags=re.DOTALL)
            text = re.sub(r"<(?!/?section\b)[^>]*>", " ", text)
            words[page.relative_to(SITE).as_posix()] = re.sub(r"\s+", " ", text)
    script = f"const EXCERPTS = {json.dumps(words, ensure_ascii=False)};\n"
    (SITE / "_static" / "excerpts.js").write_text(script, "utf-8")
    search = SITE / "search.html"
    scripts = "".join(f'<script src="_static/{name}.js"></script>' for name in ("excerpts", "search"))
    search.write_text(search.read_text("utf-8").replace("</head>", f"{scripts}</head>", 1), "utf-8")


def filled(text, **parts):
    """The text with every <!-- name --> replaced."""
    for name, part in parts.items():
        if f"<!-- {name} -->" not in text:
            raise ValueError(f"a page needs <!-- {name} --> to be filled with it")
        text = text.replace(f"<!-- {name} -->", part)
    return text


def glossary():
    """The tables of symbols and words of the first notebook, whose links are seen from the folder above."""
    heading = "## Symbols\n"
    cells = nbformat.read(sources()[0], as_version=4).cells
    text = next(cell.source for cell in cells if cell.source.startswith(heading))
    return re.sub(r"\]\((?=\d\d_\w+\.ipynb)", "](notebooks/", text.removeprefix(heading))


def stacked(text):
    """A Markdown text whose tables are shown on a phone with one cell beneath the other."""
    return re.sub(r"(?:^\|.*\n)+", r"::::{container} ledger\n\g<0>::::\n", text, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
