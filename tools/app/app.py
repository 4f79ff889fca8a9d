"""Serve one page with the boxes to play with, and the panel that separates a recording of one's own: `make app`.

python tools/app/app.py [options of Voilà]

The notebook behind it, build/app/play.ipynb, is made of the chapters' own cells each time this starts: of every chapter
the statements that its `Play` box needs, no more, so that a box is there a moment after it is chosen.
"""

import ast
import os
import re
import sys
from itertools import takewhile
from pathlib import Path

import nbformat
from nbconvert.filters import markdown2html

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tools" / "site"))
from cut import blocks  # noqa: E402

APP = ROOT / "build" / "app"
HEADING = "NMF for audio source separation: move it, hear it"
LARGEST = 2**29  # bytes of an uploaded file, as in make lab
FORGOTTEN = 600  # seconds after which the kernel of a closed page ends: the page's own request to end it is refused


def main(options):
    APP.mkdir(parents=True, exist_ok=True)
    (APP / "play.ipynb").write_text(nbformat.writes(app_notebook()), encoding="utf-8")
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("JUPYTER_PATH")]))
    from traitlets.config import Config
    from voila.app import Voila

    config = Config()
    config.Voila.tornado_settings = {"websocket_max_message_size": LARGEST}
    config.MappingKernelManager.cull_idle_timeout = FORGOTTEN
    config.VoilaConfiguration.template = "play"
    config.VoilaConfiguration.extension_denylist = ["@jupyter-notebook/lab-extension"]  # has no use in Voilà
    Voila.launch_instance([str(APP / "play.ipynb"), *options], config=config)


def app_notebook():
    """The notebook of the page: how it works, a function for each box, and the call that shows them."""
    boxes = [box for source in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")) for box in boxes_of(source)]
    boxes.sort(key=lambda box: box[0])  # the panel last
    entries = "".join(f"    {name!r}: ({title!r}, {said!r}, {code.name}),\n" for name, title, said, code in boxes)
    cells = [(HERE / "page.py").read_text(encoding="utf-8"), *(ast.unparse(code) for *_, code in boxes)]
    cells.append(f"show_page({HEADING!r}, {{\n{entries}}})")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return notebook


def boxes_of(source):
    """(button, title, sentence, function) of a chapter's Play box, and of its panel for a recording of one's own.

    The sentence is the question that the chapter asks before the box; where it asks none, its promise.
    """
    cells = nbformat.read(source, as_version=4).cells
    title, promise, *_ = blocks(cells[0].source)
    title, number = title.removeprefix("# "), source.stem[:2]
    heading, said, statements, play, panel = "", promise, [], [], []
    for cell in cells:
        if cell.cell_type == "markdown":
            for block in blocks(cell.source):
                heading = block.lstrip("# ") if block.startswith("#") else heading
                if block.startswith("**Predict") and heading.startswith("Play") and not play:
                    asked = re.sub(r"^\*\*Predict[^*]*\*\*:?\s*", "", block)
                    said = asked[:1].upper() + asked[1:]
        elif "solution" not in cell.metadata.get("tags", ()):
            for statement in ast.parse(cell.source).body:
                called = called_by(statement)
                if called == "explore" and (heading.startswith("Play") or not play):
                    play = [*(play if heading.startswith("Play") else []), statement]
                elif called == "separate_upload":
                    panel = [statement]
                statements.append(statement)
    if play:
        said = markdown2html(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", said))  # without links to chapters
        yield source.stem.replace("_", " "), title, said, function(number, statements, play)
    if panel:
        said = "<p>A stereo file with two to four sources: it is separated here, and nothing leaves this computer.</p>"
        yield "your own recording", "Separate your own recording", said, function("own", statements, panel)


def function(name, statements, targets):
    """The definition of `box_{name}`, which runs the targets and of the statements before them what they need."""
    before = [*takewhile(lambda statement: statement is not targets[-1], statements), targets[-1]]
    functions = {statement.name: statement for statement in before if isinstance(statement, ast.FunctionDef)}
    body, wanted = [], set().union(*(names(target)[1] for target in targets))
    while more := set().union(*(names(functions[name])[1] for name in wanted & set(functions))) - wanted:
        wanted |= more  # what a function uses it finds when it is called, not where it stands
    for statement in reversed(before):
        made, used = names(statement)
        if statement in targets or made & wanted:
            body.insert(0, statement)
            wanted = wanted - made | used if isinstance(statement, ast.Assign) else wanted | used
    empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.fix_missing_locations(ast.FunctionDef(f"box_{name}", empty, body, [], type_params=[]))


def names(statement):
    """The names that a statement makes or changes, and those that it uses, of a function those that are not its own.

    >>> names(ast.parse("x[0] = f(y)").body[0])[0]
    {'x'}
    >>> names(ast.parse("def f(a): b = a; return c").body[0])
    ({'f'}, {'c'})
    """
    made, used, changed = set(), set(), set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.arg):
            made.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            made.add(node.name)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            changed.add(root(node))
        elif isinstance(node, ast.Expr) and isinstance(getattr(node.value, "func", None), ast.Attribute):
            changed.add(root(node.value))  # plot.style(), or values.append(1)
    if isinstance(statement, ast.FunctionDef):
        return {statement.name}, used - made
    return made | changed, used


def root(node):
    """The name that a chain such as plot.style or x[0].y begins with."""
    while not isinstance(node, ast.Name):
        node = getattr(node, "value", None) or getattr(node, "func", None)
        if node is None:
            return ""
    return node.id


def called_by(statement):
    call = getattr(statement, "value", None)
    return getattr(getattr(call, "func", None), "id", "")


if __name__ == "__main__":
    main(sys.argv[1:])
