"""Execute the notebooks, and publish their outputs, figures, sounds and verdicts.

    python tools/run.py          all of them; 00, which shows the claims, comes last
    python tools/run.py 04 05    these, then 00

Copies are executed. New outputs, figures, sounds and verdicts replace the old ones only if the notebook ran to its end
without an error or a warning. Files are replaced atomically, so that an interrupted run leaves no damaged file.
"""

import ast
import os
import re
import signal
import struct
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from tqdm import tqdm

from nmflib.course.claims import claims_summary, read_table, write_claims
from nmflib.course.scenes import STEREO_SCENES

ROOT = Path(__file__).resolve().parents[1]
CELL_SECONDS = 120
MAX_BYTES = 1_000_000
LIVE_ONLY = "application/vnd.jupyter.widget-view+json"
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|opt|var|mnt|srv|work|Users)/\w|\b[A-Z]:\\")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LAUNCH_MARK = "<!-- launch -->"
COLAB = """import sys

if "google.colab" in sys.modules:  # Colab opens this file alone; elsewhere this cell does nothing
    !test -d /content/{name} || git clone -q --depth 1 https://github.com/{owner}/{name} /content/{name}
    !pip install -q "mir_eval>=0.8,<0.9" pyroomacoustics distributed
    sys.path.insert(0, "/content/{name}")"""


class PublishError(Exception):
    """A notebook cannot be published; the message gives the reason."""


class ThisPython(AsyncKernelManager):
    """Starts the kernel with the Python interpreter of this program, not with an installed kernel."""

    @property
    def kernel_spec(self):
        command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=40", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def main(names):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.pop("MPLBACKEND", None)
    sources = chosen(names)
    counts = [sum(cell.cell_type == "code" for cell in nbformat.read(s, as_version=4).cells) for s in sources]
    failures = 0
    with tqdm(total=sum(counts), unit="cell", disable=not sys.stderr.isatty()) as bar:
        for source in sources:
            bar.set_description(source.stem[:2])
            start = time.perf_counter()
            try:
                drawn = run(source, bar.update)
            except PublishError as reason:
                failures += 1
                tqdm.write(f"{source.stem}  NOT PUBLISHED  {reason}", file=sys.stderr)
            else:
                tqdm.write(f"{source.stem:<32}{time.perf_counter() - start:6.1f} s   {drawn}")
    update_pages()
    return 1 if failures else 0


def chosen(names):
    """Paths of the notebooks in the order to execute them."""
    every = sources()
    unknown = [name for name in names if not any(path.stem.startswith(name) for path in every)]
    if unknown or not every:
        sys.exit(f"no notebook is called {', '.join(unknown)}; there are: {', '.join(path.stem for path in every)}")
    selected = [path for path in every if not names or path.stem.startswith((*names, "00"))]
    return sorted(selected, key=lambda path: (path.stem.startswith("00"), path.name))


def run(source, advance=lambda: None):
    """Execute one notebook and publish it; returns a summary."""
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=ROOT) as name:
        stage = Path(name)  # as deep as notebooks/, so that ../data means the same
        (stage / "figures").mkdir()
        notebook = prepared(nbformat.read(source, as_version=4), source.stem)
        execute(notebook, source.stem, stage, advance)
        clean(notebook)
        found = objections(notebook)
        if found:
            raise PublishError("; ".join(found))
        (stage / source.name).write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        return publish(source, stage)


def prepared(notebook, stem):
    """The notebook with current launch links, the current cell for Colab, and a stable id for every cell."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{number:02d}")
    notebook.cells = [cell for cell in notebook.cells if "colab" not in cell.metadata.get("tags", ())]
    if repository():
        owner, name = repository()
        cell = nbformat.v4.new_code_cell(COLAB.format(owner=owner, name=name), id="colab")
        cell.metadata["tags"] = ["colab", "remove-cell"]  # the site and the slides leave it out
        notebook.cells.insert(1, cell)
    first = notebook.cells[0]
    links = launch_links(stem)
    first.source = first.source.split(LAUNCH_MARK)[0].rstrip() + (f"\n\n{LAUNCH_MARK} {links}" if links else "")
    return notebook


def execute(notebook, stem, stage, advance):
    """Execute in place, in the directory `stage`."""
    at = [0]
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisPython,
        timeout=CELL_SECONDS,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(stage)}},
        on_cell_start=lambda cell, cell_index: at.__setitem__(0, cell_index),
        on_cell_executed=lambda cell, cell_index, execute_reply: advance(),
    )
    os.environ["NMFLIB_FIGURES"] = str(stage / "figures")
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        if getattr(error, "ename", "") == "KeyboardInterrupt":  # nbclient hands a signal to the kernel
            raise KeyboardInterrupt from None
        number = 1 + sum(cell.cell_type == "code" for cell in notebook.cells[: at[0]])
        raise PublishError(f"In [{number}] failed:\n{COLOUR.sub('', str(error))}") from None
    finally:
        del os.environ["NMFLIB_FIGURES"]


def clean(notebook):
    """Remove what differs from run to run or only lives in a kernel."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = []
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data or "text/html" in data:
                data.pop(LIVE_ONLY, None)
            last = outputs[-1] if outputs else {}
            if output.output_type == last.get("output_type") == "stream" and output.name == last.name:
                last.text += output.text
            else:
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs


def objections(notebook):
    """A list of reasons why this executed notebook must not be published; it is empty if there are none."""
    found = []
    if "widgets" in notebook.metadata:
        found.append("metadata.widgets is present")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        here = f"In [{number}]"
        if cell.execution_count != number:
            found.append(f"{here} has execution count {cell.execution_count}")
        for output in cell.outputs:
            data = output.get("data", {})
            texts = [output.get("text", ""), *(value for key, value in data.items() if not key.startswith("image/"))]
            text = "\n".join(map(str, texts))
            if output.output_type == "error":
                found.append(f"{here} shows an error: {output.ename}")
            elif output.get("name") == "stderr":
                found.append(f"{here} writes to stderr: {output.text.strip()}")
            elif LIVE_ONLY in data:
                found.append(f"{here} has an output that only a live kernel can show")
            for name, pattern in (("a path of this machine", MACHINE_PATH), ("a memory address", ADDRESS)):
                match = pattern.search(text)
                if match:
                    found.append(f"{here} shows {name}: {text[match.start() : match.start() + 60]!r}")
            if any(place in text for place in (str(ROOT), sys.prefix)):
                found.append(f"{here} shows where this project or its environment lies")
    size = len(nbformat.writes(notebook).encode())
    if size > MAX_BYTES:
        found.append(f"it has {size / 1e6:.2f} MB, more than {MAX_BYTES / 1e6:.0f}")
    return found


def publish(source, stage):
    """Move the files in `stage` to their places, the notebook last; then remove the figures that it no longer draws."""
    figures, number = ROOT / "figures", source.name[:3]
    new = sorted(path.relative_to(stage / "figures") for path in (stage / "figures").rglob("*.*"))
    drawn = [path for path in new if path.suffix in (".png", ".mp3")]
    foreign = [path.name for path in drawn if not path.name.startswith(number)]
    rows = read_table(stage / "figures" / "claims.csv")
    foreign += [f"verdict {row['claim']} of {row['notebook']}" for row in rows if row["notebook"] != source.stem]
    if foreign:
        raise PublishError(f"it publishes what is not its own: {', '.join(foreign)}")

    (figures / "audio").mkdir(parents=True, exist_ok=True)
    for path in drawn:
        os.replace(stage / "figures" / path, figures / path)
    others = [row for row in read_table(figures / "claims.csv") if row["notebook"] != source.stem]
    write_claims(stage / "claims.csv", [*others, *rows])
    os.replace(stage / "claims.csv", figures / "claims.csv")
    os.replace(stage / source.name, source)
    for path in (*figures.glob(f"{number}*.png"), *(figures / "audio").glob(f"{number}*.mp3")):
        if path.relative_to(figures) not in drawn:
            path.unlink()
    pictures = sum(path.suffix == ".png" for path in drawn)
    return f"{pictures} figures, {len(drawn) - pictures} sounds, {len(rows)} verdicts"


# ---------------------------------------------------------------- README.md and the other pages


def update_pages():
    pages = {"README.md": readme, "TEACHING.md": teaching, "CITATION.cff": citation}
    texts = {name: page((ROOT / name).read_text(encoding="utf-8")) for name, page in pages.items()}
    texts["figures/audio/README.md"] = sounds()
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=ROOT) as stage:
        for name, text in texts.items():
            (Path(stage) / "page").write_text(text, encoding="utf-8", newline="\n")
            os.replace(Path(stage) / "page", ROOT / name)


def readme(text):
    """The text of README.md with its generated parts updated."""
    parts = dict(read=read_online(), clone=clone(), gallery=gallery(), chapters=chapters(), claims=claims_summary(ROOT))
    return filled("README.md", text, **parts)


def read_online():
    """Links to read and run the notebooks without installing, once an address is set."""
    return f"Nothing to install, and with players: {launch_links(sources()[0].stem)}" if repository() else ""


def clone():
    """The sentence above the block of commands."""
    if not repository():
        return "With Python 3.11 or newer and make, after `git clone`:"
    owner, name = repository()
    return f"With Python 3.11 or newer and make, after `git clone https://github.com/{owner}/{name}` and `cd {name}`:"


def citation(text):
    """CITATION.cff with the address of the repository and of the site, if one is set."""
    lines = [line for line in text.splitlines() if not line.startswith(("repository-code:", "url:"))]
    if repository():
        lines += [f'repository-code: "https://github.com/{"/".join(repository())}"', f'url: "{site()}"']
    return "\n".join(lines) + "\n"


def teaching(text):
    """The text of the teacher's guide with its list of exercises updated."""
    return filled("TEACHING.md", text, exercises=exercise_table())


def filled(page, text, **generated):
    """The text with new contents between <!-- name --> and <!-- /name -->."""
    for name, content in generated.items():
        parts = re.split(rf"(<!-- /?{name} -->)", text)
        if len(parts) != 5:
            raise ValueError(f"{page} needs <!-- {name} --> and <!-- /{name} --> once each")
        text = "".join([*parts[:2], f"\n{content}\n", *parts[3:]])
    return text


def exercise_table():
    """A table of the chapters' exercises with their levels and minutes."""
    rows = ["| chapter | exercises (level, minutes) | together |", "|---|---|---|"]
    for source in sources():
        found = exercises(nbformat.read(source, as_version=4))
        names = "<br>".join(f"{number}. {title} ({level}, {minutes})" for number, title, level, minutes in found)
        total = sum(minutes for *_, minutes in found)
        rows.append(f"| [{source.stem[:2]}](notebooks/{source.name}) | {names} | {total} min |")
    return "\n".join(rows)


def exercises(notebook):
    """The exercises, written "1. **Title.** (★★, 10 min) …", as (number, title, level, minutes)."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\* \((★{1,3}), (\d+) min\) ", text, flags=re.MULTILINE)
    return [(int(number), title.replace("|", "\\|"), level, int(minutes)) for number, title, level, minutes in found]


def gallery():
    """The pictures named in pyproject.toml, all of one height, two in a row of 838 pixels."""
    names = settings()["gallery"]
    for name in names:
        if not (ROOT / "figures" / f"{name}.png").exists():
            raise ValueError(f"gallery in pyproject.toml names {name}, which no notebook draws")
    shapes = [width / height for width, height in (pixels(ROOT / "figures" / f"{name}.png") for name in names)]
    height = min((820 / sum(shapes[i : i + 2]) for i in range(0, len(shapes), 2)), default=0)
    pictures = []
    for name, shape in zip(names, shapes, strict=True):
        source = next((ROOT / "notebooks").glob(f"{name[:2]}_*.ipynb"))
        # no height: GitHub narrows a picture on a phone, which must not stretch it
        image = f'<img src="figures/{name}.png" width="{height * shape:.0f}" alt="{alternative_text(source, name)}">'
        pictures.append(f'<a href="notebooks/{source.name}">{image}</a>')
    return "\n".join(["<p>", *pictures, "</p>"]) if pictures else ""


def pixels(picture):
    """Width and height of a PNG file."""
    return struct.unpack(">II", picture.read_bytes()[16:24])


def alternative_text(source, name):
    for cell in nbformat.read(source, as_version=4).cells:
        for output in cell.get("outputs", ()):
            if output.get("data", {}).get("text/plain", "").split("\n")[0] == f"figures/{name}.png":
                return output.metadata["image/png"]["alt"].replace('"', "&quot;")
    raise ValueError(f"{source.name} does not show {name}")


def chapters():
    """A table of the notebooks: title, question, and claims."""
    rows = ["| chapter | question | claims |", "|---|---|---|"]
    questions = {row["notebook"]: row["question"] for row in read_table(ROOT / "data" / "talk_slides.csv")}
    talk = read_table(ROOT / "data" / "talk_claims.csv")
    for source in sources():
        title = nbformat.read(source, as_version=4).cells[0].source.splitlines()[0].lstrip("# ").split(": ")[0]
        claims = ", ".join(row["claim"] for row in talk if row["notebook"] == source.stem)
        cells = [f"[{title}](notebooks/{source.name})", questions.get(source.stem, ""), claims]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def sources():
    """Paths of the notebooks in reading order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def launch_links(stem):
    """Markdown links that open the notebook on the site, in nbviewer, Colab and Binder; none without a repository."""
    if not repository():
        return ""
    owner, name = repository()
    path = f"{owner}/{name}/blob/main/notebooks/{stem}.ipynb"
    return " · ".join(
        (
            f"[site]({site()}notebooks/{stem}.html)",
            f"[nbviewer](https://nbviewer.org/github/{path})",
            f"[Colab](https://colab.research.google.com/github/{path})",
            f"[Binder](https://mybinder.org/v2/gh/{owner}/{name}/main?labpath=notebooks/{stem}.ipynb)",
        )
    )


def repository():
    """Owner and name of the repository on GitHub, or None while pyproject.toml names none."""
    address = settings()["repository"].rstrip("/")
    match = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", address)
    if address and not match:
        raise ValueError(f"repository in pyproject.toml is {address!r}; it must be https://github.com/owner/name")
    return match.groups() if match else None


def site():
    """The address at which GitHub Pages publishes the site."""
    owner, name = repository()
    return f"https://{owner.lower()}.github.io/{name}/"


# ---------------------------------------------------------------- figures/audio/README.md

SOUNDS = """# The sounds of the chapters

Written by `tools/run.py`. A sound of a chapter is one of the clips named in its row, a mixture of some of them, or
computed from such a mixture (separated, reconstructed, the error left). Changes to the recordings: cut, mixed,
filtered, scaled, coded as MP3.

It comes under the licences of the clips in it. Where a clip under CC BY-SA 3.0 may be in it, take the sound as
CC BY-SA 3.0 as a whole, and name all those that the clips name. Sounds without a recording are CC BY 4.0, as the
text is.
The notices to keep, and links to the licences: [data/README.md](../../data/README.md).

"""


def sounds():
    """figures/audio/README.md: for every MP3 the clips it may hold, for every clip licence and attribution."""
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    chapters = ["| chapter | sounds | made from |", "|---|---|---|"]
    heard = set()
    for source in sources():
        files = sorted(path.name for path in (ROOT / "figures" / "audio").glob(f"{source.stem[:2]}_*.mp3"))
        if files:
            used, made = origin(source, clips)
            heard |= used
            names = "<br>".join(f"[{file}]({file})" for file in files)
            made = "; ".join(filter(None, [", ".join(f"`{name}`" for name in clips if name in used), *made]))
            chapters.append(f"| [{source.stem[:2]}](../../notebooks/{source.name}) | {names} | {made} |")
    table = ["| clip | what it is | licence | attribution |", "|---|---|---|---|"]
    for name, row in clips.items():
        if name in heard:
            cells = (f"`{name}`", row["role"], row["licence"], row["attribution"])
            table.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return SOUNDS + "\n".join(["## Chapters", "", *chapters, "", "## Clips", "", *table]) + "\n"


def origin(source, clips):
    """The clips that a chapter or its experiments name, and other origins of its sounds."""
    cells = [c for c in nbformat.read(source, as_version=4).cells if c.cell_type == "code"]
    cells = [c for c in cells if not {"colab", "solution"} & set(c.metadata.get("tags", ()))]
    codes = ["\n".join(cell.source for cell in cells)]
    words, modules = set(), set()
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


def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["nmflib"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
