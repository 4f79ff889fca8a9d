"""Every notebook with controls, in JupyterLab: as cloned, executed, and with each of its controls moved."""

import ast
import json
import re
import urllib.request
from pathlib import Path

import nbformat
import pytest
from live import LIMIT_SECONDS, Box, play
from recordings import check_uploads

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
RUN_SECONDS = 400  # of one notebook, on a busy machine
ERRORS = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
IDLE = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
ANSWERS = """async () => {
    const context = jupyterapp.shell.currentWidget.sessionContext;
    await context.ready;
    await context.session.kernel.info;
}"""  # what is asked of a kernel before that is lost
STARTED = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(prompt => prompt.textContent.includes('*'))"
COUNTS = """[...jupyterapp.shell.currentWidget.content.model.sharedModel.cells]
    .filter(cell => cell.cell_type === "code").map(cell => cell.execution_count)"""
ENDED = f"""() => document.querySelector(".jp-Notebook-ExecutionIndicator").dataset.status === "idle"
    && ({COUNTS}.every(Boolean) || document.querySelector('{ERRORS}'))"""


def calls(cell):
    """How often a code cell calls explore."""
    if cell.cell_type != "code":
        return 0
    nodes = ast.walk(ast.parse(cell.source))
    return sum(isinstance(node, ast.Call) and getattr(node.func, "id", "") == "explore" for node in nodes)


def pictures(notebook):
    """The committed pictures as (cell, text beside the picture)."""
    outputs = [(cell, output) for cell in notebook.cells for output in cell.get("outputs", ())]
    return [(cell, out.data["text/plain"]) for cell, out in outputs if "image/png" in out.get("data", {})]


def default_texts(notebook):
    """What explore printed under its picture when the notebook was published, one text per call."""
    shown = [text for cell, text in pictures(notebook) if calls(cell) and not text.startswith("figures/")]
    return [text.partition("\n")[2] for text in shown]


@pytest.fixture
def opened(lab, page):
    """A function that opens a notebook; afterwards its kernel is stopped, and the log must show no new error."""
    earlier = len(lab.errors())

    def open_notebook(name):
        notebook = nbformat.read(lab.directory / "notebooks" / name, as_version=4)
        page.goto(f"{lab.address}/lab/tree/notebooks/{name}?token={lab.token}&reset", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        return notebook

    yield open_notebook
    for session in json.load(asked(lab, "GET", "/api/sessions")):
        asked(lab, "DELETE", f"/api/sessions/{session['id']}")
    assert lab.errors()[earlier:] == []


def asked(lab, method, path):
    headers = {"Authorization": f"token {lab.token}"}
    return urllib.request.urlopen(urllib.request.Request(f"{lab.address}{path}", method=method, headers=headers))


def run_all(page):
    page.evaluate(ANSWERS)
    page.wait_for_selector(IDLE)
    page.click("div.lm-MenuBar-itemLabel:text-is('Run')")
    page.click("div.lm-Menu-itemLabel:text-is('Run All Cells')")
    page.wait_for_function(STARTED)
    page.wait_for_function(ENDED, timeout=1000 * RUN_SECONDS, polling=200)


def check_as_cloned(page, notebook):
    """Before anything runs: every stored picture and player is there, and nothing waits for a kernel."""
    shown = page.locator(".jp-RenderedImage img")
    shown.nth(len(pictures(notebook)) - 1).wait_for()
    assert shown.count() == len(pictures(notebook))
    assert all(image.evaluate("image => image.naturalWidth > 100 && image.offsetWidth > 100") for image in shown.all())
    html = [output.data.get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", ())
            if "data" in output]  # fmt: skip
    html += [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    players = page.locator(".jp-Notebook audio")
    assert players.count() == sum(text.count("<audio") for text in html)
    if players.count():
        play(players.first)
    text = page.locator(".jp-Notebook").inner_text()
    dead = re.findall(r"interactive\(children|VBox\(|Loading widget|Error displaying|Error creating widget", text)
    assert dead == []
    assert page.locator(".jupyter-widgets").count() == 0


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_notebook_in_jupyterlab(path, opened, page, kept):
    name = path.name
    notebook = opened(name)
    check_as_cloned(page, notebook)
    page.screenshot(path=kept / f"{name[:2]}_as_cloned.png")

    run_all(page)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert page.locator(ERRORS).all_inner_texts() == []
    assert page.evaluate(COUNTS) == list(range(1, len(code) + 1))
    boxes, texts = Box.all(page), default_texts(notebook)
    assert len(boxes) == sum(calls(cell) for cell in notebook.cells) == len(texts)

    tried = set()
    for number, (box, text) in enumerate(zip(boxes, texts, strict=True), start=1):
        first = box.try_every_control(tried)
        assert first.text == text, "live and published text of the default values differ"
        box.box.screenshot(path=kept / f"{name[:2]}_box{number}.png")
        if first.sounds:
            play(box.box.locator("audio").first)
    if page.locator(".separate-upload").count():
        check_uploads(page, kept / f"{name[:2]}_upload.png")


def test_the_first_page_is_the_first_chapter_with_players_that_play_and_no_news(lab, page):
    page.goto(f"{lab.address}/?token={lab.token}", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
    assert page.url.split("?")[0] == f"{lab.address}/lab/tree/notebooks/00_start_here.ipynb"
    play(page.locator(".jp-Notebook audio").first)
    page.wait_for_timeout(5000)  # it came within three seconds
    assert page.locator(".Toastify__toast").count() == 0


PLAYS = """async player => {
    const [start, time] = [performance.now(), player.currentTime];
    await new Promise(resolve => setTimeout(resolve, 500));
    return {time, goesOn: player.currentTime > time, late: performance.now() - start};
}"""
FITS = """box => {
    box.scrollIntoView({block: "start"});
    const inner = [...box.querySelectorAll(".nmflib-controls > *, :scope > img, .nmflib-text, audio")];
    const frame = document.querySelector(".jp-NotebookPanel-notebook").getBoundingClientRect();
    const tops = inner.map(part => part.getBoundingClientRect());
    return Math.max(...tops.map(r => r.bottom)) - Math.min(...tops.map(r => r.top)) <= frame.height;
}"""


def test_a_lesson_with_chapter_4(opened, page, lab, kept):
    """Run, listen while a control moves, presets, a restarted kernel; then save, stop the kernel, and open it again."""
    name = "04_sine_simulation.ipynb"
    page.set_viewport_size({"width": 1280, "height": 720})
    committed = opened(name)
    run_all(page)
    (box,) = Box.all(page)
    first = box.settled()
    assert box.box.evaluate(FITS), "controls, picture, numbers and players do not fit on one screen"
    page.screenshot(path=kept / "04_lesson.png")

    player = box.box.locator("audio").nth(1)
    player.evaluate("async player => { player.currentTime = 1; player.loop = true; await player.play(); }")
    before = player.evaluate("player => player.src")
    fast = box.press("fast: 23, 31", first)
    assert "23" in box.controls()[0].reading() and fast.sounds != first.sounds
    assert player.evaluate("player => player.src") != before
    heard = player.evaluate(PLAYS)
    assert heard["goesOn"] and heard["time"] > 1, heard
    player.evaluate("player => player.pause()")
    assert box.press("Reset", fast) == first

    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    saved = nbformat.read(lab.directory / "notebooks" / name, as_version=4)
    assert saved.metadata == committed.metadata
    kinds = {kind for cell in saved.cells for output in cell.get("outputs", ()) for kind in output.get("data", ())}
    assert kinds == {"image/png", "text/plain", "text/html"}

    note = box.box.locator(".nmflib-restarted")
    assert not note.is_visible()
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    note.wait_for(timeout=1000 * LIMIT_SECONDS)
    page.wait_for_selector(IDLE)
    for session in json.load(asked(lab, "GET", "/api/sessions")):
        asked(lab, "DELETE", f"/api/sessions/{session['id']}")
    check_as_cloned(page, opened(name))
    page.wait_for_selector(IDLE)
    page.screenshot(path=kept / "04_reopened.png")
