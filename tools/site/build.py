"""Build the site of the executed notebooks in build/site: open index.html, no kernel and no network needed.

python tools/site/build.py
"""

import re
import shutil
import sys
import time

import nbformat
from sphinx.cmd.build import build_main
from web import BUILD, ROOT, install_mathjax, megabytes, sources, web_notebook

from nmflib.course.claims import NOT_YET, claims_markdown, mark, read_table

sys.path.insert(0, str(ROOT / "tools"))
from run import chapters

PAGES = ROOT / "tools" / "site" / "pages"
STAGE, SITE = BUILD / "site-source", BUILD / "site"


def main():
    start = time.perf_counter()
    for folder in (STAGE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    (STAGE / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "figures", SITE / "figures")
    for source in sources():
        notebook = chapter(web_notebook(source, SITE / "figures"))
        (STAGE / "notebooks" / source.name).write_text(nbformat.writes(notebook), encoding="utf-8")
    for name, text in pages().items():
        (STAGE / name).write_text(text, encoding="utf-8")
    install_mathjax(SITE / "_static" / "mathjax")
    options = ["-q", "-W", "--keep-going", "-j", "2", "-c", str(ROOT / "tools" / "site"), "-d", str(BUILD / "doctrees")]
    if build_main([*options, str(STAGE), str(SITE)]):
        return 1
    for source in sources():  # what the download button gives: the notebook itself
        shutil.copyfile(source, SITE / "_sources" / "notebooks" / source.name)
    print(f"build/site/index.html: {megabytes(SITE):.0f} MB, {time.perf_counter() - start:.0f} s")
    return 0


def chapter(notebook):
    """The notebook with folded solutions, French marked as French, DOIs as links; files it links to are staged."""
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", ()):
            cell.metadata.tags.append("hide-cell")
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("> **En français", "{.language-fr}\n> **En français")
            cell.source = re.sub(r"(?<![<(\[\"])(https://doi\.org/[^\s<>]+[\w/])", r"<\1>", cell.source)
            for linked in re.findall(r"\]\(\.\./([^)#]+)\)", cell.source):
                (STAGE / linked).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / linked, STAGE / linked)
    return notebook


def pages():
    """The site's other pages, {file name: Markdown}."""
    found = {page.name: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    found["teaching.md"] = stacked((ROOT / "TEACHING.md").read_text("utf-8"))
    facts = {"counts": counts(), "claims": claims_markdown(ROOT), "chapters": chapters()}
    found["index.md"] = filled(found["index.md"], **facts)
    found["glossary.md"] = filled(found["glossary.md"], words=glossary())
    clips = (ROOT / "data" / "README.md").read_text("utf-8")
    found["sounds.md"] = filled(found["sounds.md"], clips=stacked(without_title(clips)))
    found["licence.md"] = filled(found["licence.md"], licence=(ROOT / "LICENSE").read_text("utf-8"))
    return found


def filled(text, **parts):
    """The text with every <!-- name --> replaced."""
    for name, part in parts.items():
        if f"<!-- {name} -->" not in text:
            raise ValueError(f"a page needs <!-- {name} --> to be filled with it")
        text = text.replace(f"<!-- {name} -->", part)
    return text


def counts():
    """For instance "9 ✓ hold · 6 ◐ hold in part · 3 … not yet on trial"."""
    marks = [mark(row["verdict"]) for row in read_table(ROOT / "figures" / "claims.csv")]
    marks += [mark(NOT_YET)] * (len(read_table(ROOT / "data" / "talk_claims.csv")) - len(marks))
    words = {"✓": "hold", "◐": "hold in part", "✗": "do not hold", mark(NOT_YET): NOT_YET}
    parts = [f"{marks.count(sign)} {sign} {said}" for sign, said in words.items() if sign in marks]
    return " · ".join(parts)


def glossary():
    """The tables of symbols and words of the first notebook."""
    heading = "## Symbols and words\n"
    for cell in nbformat.read(sources()[0], as_version=4).cells:
        if cell.source.startswith(heading):
            return cell.source.removeprefix(heading)
    raise ValueError(f"{sources()[0].name} has no cell that begins with {heading.strip()!r}")


def stacked(text):
    """A Markdown text whose tables are shown on a phone with one cell beneath the other."""
    return re.sub(r"(?:^\|.*\n)+", r"::::{container} ledger\n\g<0>::::\n", text, flags=re.MULTILINE)


def without_title(text):
    """A Markdown text without its title."""
    return text.split("\n", 1)[1]


if __name__ == "__main__":
    sys.exit(main())
