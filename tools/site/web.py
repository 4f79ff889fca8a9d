"""The executed notebooks as web pages want them: pictures as files with their alternative texts, links to pages."""

import base64
import html
import importlib.util
import json
import re
import shutil
from io import BytesIO
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from PIL import Image
from printed import printed_html

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
MATHJAX = (  # of MathJax's 24 MB, what pages with TeX and its accessible menu use
    "tex-chtml.js",
    "a11y/*.js",
    "input/mml.js",
    "input/tex/extensions/*.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "ui/lazy.js",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "sre/mathmaps/fr.json",
)


def sources():
    """Paths of the notebooks in reading order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def web_notebook(source, figures):
    """The notebook with outputs for the web; pictures that are not in `figures` are written there.

    Paths to figures and sounds stay as they are in the notebooks, relative to their folder: ../figures/…
    """
    notebook = nbformat.read(source, as_version=4)
    unpublished = 0
    for cell in notebook.cells:
        outputs, alt = [], None
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if alt is not None and data.get("text/plain") == alt:
                continue  # the sentence beneath a picture, which its figcaption already is
            alt = None
            if "image/png" in data:
                name = re.match(r"figures/(\w+\.png)$", data["text/plain"].split("\n")[0])
                if not name:
                    unpublished += 1
                picture = base64.b64decode(data["image/png"])
                file = figures / (name[1] if name else f"{source.name[:2]}_live_{unpublished}.png")
                if not file.exists():
                    file.write_bytes(picture)
                facts = output.metadata["image/png"]
                alt = facts["alt"]
                output = html_output(figure_html(f"../figures/{file.name}", picture, facts, live=not name))
            elif "text/html" in data:
                output = html_output(with_labels(page_links(data["text/html"])))
            elif "text/markdown" in data:
                output = html_output(page_links(MarkdownIt().enable("table").render(data["text/markdown"])))
            elif table := printed_html(output.get("text", "")):
                output = html_output(table)
            outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs
    return notebook


def figure_html(address, picture, facts, live):
    """A <figure> with the picture and its alternative text; a film strip carries its frames for frames.js.

    facts : metadata of the output, {"alt": …, "frames": [{"values": …, "text": …, "box": …}, …], "width", "height"}
    live : whether the picture has controls in JupyterLab
    """
    with Image.open(BytesIO(picture)) as image:
        width, height = (facts.get(side, pixels) for side, pixels in zip(("width", "height"), image.size, strict=True))
    alt = html.escape(facts["alt"])
    frames = f" data-frames='{html.escape(json.dumps(facts['frames']))}'" if "frames" in facts else ""
    note = ' <span class="live">In JupyterLab (<code>make lab</code>) this picture has controls.</span>' if live else ""
    return (
        f"<figure{frames}>"
        f'<img src="{address}" alt="{alt}" width="{width}" height="{height}" loading="lazy">'
        f"<figcaption>{alt}{note}</figcaption></figure>"
    )


def html_output(text):
    return nbformat.v4.new_output("display_data", data={"text/html": text})


def page_links(text):
    """Links between notebooks as links between pages, links to published sounds as links to those beside the pages."""
    text = re.sub(r'href="https://github\.com/[\w.-]+/[\w.-]+/raw/main/figures/', 'href="../figures/', text)
    return re.sub(r'(href="(?!https?:)[^"]*)\.ipynb(?=[#"])', r"\1.html", text)


def anchor(heading):
    """What links to a heading of a notebook are called in JupyterLab and on GitHub.

    >>> anchor("How can one start blind?")
    'How-can-one-start-blind?'
    """
    return heading.replace(" ", "-")


def with_labels(text):
    """A table of sounds known as one, and every player in it named by the first cell of its row."""
    if "<audio" in text:
        text = text.replace("<table>", '<table class="sounds">')
    return re.sub(r'(<th scope="row">(.*?)</th><td><audio )', r'\1aria-label="\2" ', text)


def install(package, folder, patterns, destination):
    """Copy what matches `patterns` in a folder of an installed package."""
    start = Path(importlib.util.find_spec(package).origin).parent / folder
    for pattern in patterns:
        found = list(start.glob(pattern))
        if not found:
            raise SystemExit(f"{package} has no {folder}/{pattern}; another version of it is needed")
        for file in found:
            target = destination / file.relative_to(start)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def install_mathjax(destination):
    install("sphinx-mathjax-offline", "static/mathjax", MATHJAX, destination)


def megabytes(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
