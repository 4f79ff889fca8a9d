"""Execute the notebooks, and publish their outputs, figures, sounds and verdicts.

    python tools/run.py          all of them; 00, which shows the claims, comes last
    python tools/run.py 04 05    these, then 00

Copies are executed. New outputs, figures, sounds and verdicts replace the old ones only if the notebook ran to its end
without an error or a warning. Files are replaced atomically, so that an interrupted run leaves no damaged file.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pages
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from pages import code_cells, launch_links, read, repository, sources
from tqdm import tqdm

from nmflib.course.claims import read_table, write_claims

CELL_SECONDS = 600
MAX_BYTES = 1_000_000
LIVE_ONLY = "application/vnd.jupyter.widget-view+json"
PRIVATE = {
    "a path of this machine": re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|opt|var|mnt|srv|work|Users)/\w|\b[A-Z]:\\"),
    "a memory address": re.compile(r"\bat 0x[0-9a-f]+"),
}
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
    os.environ.pop("MPLBACKEND", None)
    chosen = choose(names)
    total = sum(len(code_cells(read(source))) for source in chosen)
    failures = 0
    with tqdm(total=total, unit="cell", disable=not sys.stderr.isatty()) as bar:
        for source in chosen:
            bar.set_description(source.stem[:2])
            start = time.perf_counter()
            try:
                drawn = run(source, bar.update)
            except PublishError as reason:
                failures += 1
                tqdm.write(f"{source.stem}  NOT PUBLISHED  {reason}", file=sys.stderr)
            else:
                tqdm.write(f"{source.stem:<32}{time.perf_counter() - start:6.1f} s   {drawn}")
    pages.update()
    return 1 if failures else 0


def choose(names):
    """Paths of the notebooks in the order to execute them."""
    stems = [path.stem for path in sources()]
    unknown = [name for name in names if not any(stem.startswith(name) for stem in stems)]
    if unknown or not stems:
        sys.exit(f"no notebook is called {', '.join(unknown)}; there are: {', '.join(stems)}")
    selected = [path for path in sources() if not names or path.stem.startswith((*names, "00"))]
    return sorted(selected, key=lambda path: path.stem.startswith("00"))


def run(source, advance):
    """Execute one notebook and publish it; returns a summary."""
    with tempfile.TemporaryDirectory(prefix=".staging-", dir=pages.ROOT) as name:
        stage = Path(name)  # as deep as notebooks/, so that ../data means the same
        (stage / "figures").mkdir()
        notebook = prepared(read(source), source.stem)
        execute(notebook, stage, advance)
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
        owner, name, _ = repository()
        metadata = {"tags": ["colab", "remove-cell"]}  # the site and the slides leave it out
        cell = nbformat.v4.new_code_cell(COLAB.format(owner=owner, name=name), id="colab", metadata=metadata)
        notebook.cells.insert(1, cell)
    first = notebook.cells[0]
    links = launch_links(stem)
    first.source = first.source.split(LAUNCH_MARK)[0].rstrip() + (f"\n\n{LAUNCH_MARK} {links}" if links else "")
    return notebook


def execute(notebook, stage, advance):
    """Execute in place, in the directory `stage`."""
    started = []
    client = NotebookClient(
        notebook,
        kernel_manager_class=ThisPython,
        timeout=CELL_SECONDS,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(stage)}},
        on_cell_execute=lambda cell, cell_index: started.append(cell_index),
        on_cell_executed=lambda cell, cell_index, execute_reply: advance(),
    )
    os.environ["NMFLIB_FIGURES"] = str(stage / "figures")
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        if getattr(error, "ename", "") == "KeyboardInterrupt":  # nbclient hands a signal to the kernel
            raise KeyboardInterrupt from None
        raise PublishError(f"In [{len(started)}] failed:\n{COLOUR.sub('', str(error))}") from None
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
    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)
        outputs = []
        for output in cell.outputs:
            data, last = output.get("data", {}), outputs[-1] if outputs else {}
            if "image/png" in data or "text/html" in data:
                data.pop(LIVE_ONLY, None)
            if output.output_type == last.get("output_type") == "stream" and output.name == last.name:
                last.text += output.text
            else:
                outputs.append(output)
        cell.outputs = outputs


def objections(notebook):
    """A list of reasons why this executed notebook must not be published; it is empty if there are none."""
    found = ["metadata.widgets is present"] * ("widgets" in notebook.metadata)
    for number, cell in enumerate(code_cells(notebook), start=1):
        here = f"In [{number}]"
        if cell.execution_count != number:
            found.append(f"{here} has execution count {cell.execution_count}")
        for output in cell.outputs:
            data = output.get("data", {})
            texts = [str(value) for key, value in data.items() if not key.startswith("image/")]
            text = "\n".join([output.get("text", ""), *texts])
            if output.output_type == "error":
                found.append(f"{here} shows an error: {output.ename}")
            elif output.get("name") == "stderr":
                found.append(f"{here} writes to stderr: {output.text.strip()}")
            elif LIVE_ONLY in data:
                found.append(f"{here} has an output that only a live kernel can show")
            for name, pattern in PRIVATE.items():
                if match := pattern.search(text):
                    found.append(f"{here} shows {name}: {text[match.start() : match.start() + 60]!r}")
            if any(place in text for place in (str(pages.ROOT), sys.prefix)):
                found.append(f"{here} shows where this project or its environment lies")
    size = len(nbformat.writes(notebook).encode())
    if size > MAX_BYTES:
        found.append(f"it has {size / 1e6:.2f} MB, more than {MAX_BYTES / 1e6:.0f}")
    return found


def publish(source, stage):
    """Move the files in `stage` to their places, the notebook last; then remove the figures that it no longer draws."""
    figures, number = pages.ROOT / "figures", source.name[:3]
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
