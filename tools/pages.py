"""What README.md, TEACHING.md and the list of sounds show of the notebooks; run.py brings them up to date."""

import ast
import os
import re
import tempfile
import tomllib
from pathlib import Path

import nbformat

from nmflib.course.claims import claims_summary, read_table
from nmflib.course.scenes import STEREO_SCENES

ROOT = Path(__file__).resolve().parents[1]
SOUNDS = """# The sounds of the chapters

Written by `tools/run.py`. A sound of a chapter is one of the clips named in its row, a mixture of some of them, or
computed from such a mixture (separated, reconstructed, the error left). Changes to the recordings: cut, mixed,
filtered, scaled, coded as MP3.

It comes under the licences of the clips in it. Where a clip under CC BY-SA 3.0 may be in it, take the sound as
CC BY-SA 3.0 as a whole, and name all those that the clips name. Sounds without a recording are CC BY 4.0, as the
text is.
The notices to keep, and links to the licences: [data/README.md](../../data/README.md).

## Chapters

{chapters}

## Clips

{clips}
"""


def sources():
    """Paths of the notebooks in reading order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def read(source):
    return nbformat.read(source, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def repository():
    """Owner, name and site of the repository on GitHub, or None while pyproject.toml names none."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    address = settings["tool"]["nmflib"]["repository"].rstrip("/")
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", address)
    if address and not match:
        raise ValueError(f"repository in pyproject.toml is {address!r}; it must be https://github.com/owner/name")
    return (*match.groups(), f"https://{match[1].lower()}.github.io/{match[2]}/") if match else None


def launch_links(stem):
    """Markdown links that open the notebook on the site, in nbviewer, Colab and Binder; none without a repository."""
    if not repository():
        return ""
    owner, name, site = repository()
    path = f"{owner}/{name}/blob/main/notebooks/{stem}.ipynb"
    links = {
        "site": f"{site}notebooks/{stem}.html",
        "nbviewer": f"https://nbviewer.org/github/{path}",
        "Colab": f"https://colab.research.google.com/github/{path}",
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{name}/main?labpath=notebooks/{stem}.ipynb",
    }
    return " · ".join(f"[{label}]({address})" for label, address in links.items())


def update():
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=ROOT) as stage:
        for name, text in texts().items():
            (Path(stage) / "page").write_text(text, encoding="utf-8", newline="\n")
            os.replace(Path(stage) / "page", ROOT / name)


def texts():
    """The pages with generated parts as they must be now, {path: text}."""
    online, clone = "", "`git clone`"
    if repository():
        owner, name, _ = repository()
        online = f"Nothing to install, and with players: {launch_links(sources()[0].stem)}"
        clone = f"`git clone https://github.com/{owner}/{name}` and `cd {name}`"
    parts = {"read": online, "clone": f"With Python 3.11 or newer and make, after {clone}:"}
    parts |= {"chapters": chapters(), "claims": claims_summary(ROOT)}
    return {
        "README.md": filled("README.md", **parts),
        "TEACHING.md": filled("TEACHING.md", exercises=exercise_table()),
        "figures/audio/README.md": sounds(),
    }


def filled(page, **generated):
    """The text of a page with new contents between <!-- name --> and <!-- /name -->."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, content in generated.items():
        parts = re.split(rf"(<!-- /?{name} -->)", text)
        if len(parts) != 5:
            raise ValueError(f"{page} needs <!-- {name} --> and <!-- /{name} --> once each")
        text = "".join([*parts[:2], f"\n{content}\n", *parts[3:]])
    return text


def table(head, rows):
    """A Markdown table of lists of cells."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {line} |" for line in lines)])


def chapters():
    """A table of the notebooks: title, question, and claims."""
    questions = {row["notebook"]: row["question"] for row in read_table(ROOT / "data" / "talk_slides.csv")}
    talk, rows = read_table(ROOT / "data" / "talk_claims.csv"), []
    for source in sources():
        title = read(source).cells[0].source.splitlines()[0].lstrip("# ").split(": ")[0]
        claims = ", ".join(row["claim"] for row in talk if row["notebook"] == source.stem)
        rows.append([f"[{title}](notebooks/{source.name})", questions.get(source.stem, ""), claims])
    return table(["chapter", "question", "claims"], rows)


def exercise_table():
    """A table of the chapters' exercises with their levels and minutes."""
    rows = []
    for source in sources():
        found = exercises(read(source))
        names = "<br>".join(f"{number}. {title} ({level}, {minutes})" for number, title, level, minutes in found)
        total = f"{sum(minutes for *_, minutes in found)} min"
        rows.append([f"[{source.stem[:2]}](notebooks/{source.name})", names, total])
    return table(["chapter", "exercises (level, minutes)", "together"], rows)


def exercises(notebook):
    """The exercises, written "1. **Title.** (★★, 10 min) …", as (number, title, level, minutes)."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\* \((★{1,3}), (\d+) min\) ", text, flags=re.MULTILINE)
    return [(int(number), title, level, int(minutes)) for number, title, level, minutes in found]


def sounds():
    """figures/audio/README.md: for every MP3 the clips it may hold, for every clip licence and attribution."""
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    made_from, heard = [], set()
    for source in sources():
        files = sorted(path.name for path in (ROOT / "figures" / "audio").glob(f"{source.stem[:2]}_*.mp3"))
        if files:
            used, made = origin(source, clips)
            heard |= used
            names = "<br>".join(f"[{file}]({file})" for file in files)
            made = "; ".join(filter(None, [", ".join(f"`{name}`" for name in clips if name in used), *made]))
            made_from.append([f"[{source.stem[:2]}](../../notebooks/{source.name})", names, made])
    named = [(name, row) for name, row in clips.items() if name in heard]
    rows = [(f"`{name}`", row["role"], row["licence"], row["attribution"]) for name, row in named]
    return SOUNDS.format(
        chapters=table(["chapter", "sounds", "made from"], made_from),
        clips=table(["clip", "what it is", "licence", "attribution"], rows),
    )


def origin(source, clips):
    """The clips that a chapter or its experiments name, and other origins of its sounds."""
    cells = [c for c in code_cells(read(source)) if not {"colab", "solution"} & set(c.metadata.get("tags", ()))]
    codes, words, modules = ["\n".join(cell.source for cell in cells)], set(), set()
    for code in codes:  # grows while it is read
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nmflib.experiments"):
                for name in {node.module.rpartition(".")[2], *(alias.name for alias in node.names)} - modules:
                    modules.add(name)
                    path = ROOT / "nmflib" / "experiments" / f"{name}.py"
                    codes += [path.read_text(encoding="utf-8")] if path.exists() else []
    used = {clip for word in words for clip in STEREO_SCENES.get(word, (word,)) if clip in clips}
    room = any("pyroomacoustics" in code for code in codes) or any("SIMULATED" in clips[name]["role"] for name in used)
    made = ["a simulated room"] * room + ["sine waves, computed"] * ("sine_mixture(" in codes[0])
    return used, made
