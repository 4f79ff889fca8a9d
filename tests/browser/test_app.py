"""`make app`: one page with the boxes to play with, and the panel for a recording of one's own."""

import nbformat
import pytest
from live import Box, play
from recordings import check_uploads
from test_lab import CHAPTERS, calls

BOX_SECONDS = 120
BUILT = "() => !document.querySelector('.play-message').innerText.trim()"


def published(path):
    """The texts of a chapter's boxes to play with, as published; of its first box if none is called so."""
    heading, found = "", []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            heading = ([line for line in cell.source.split("\n") if line.startswith("#")] or [heading])[-1]
        elif calls(cell):
            shown = [output.data["text/plain"] for output in cell.outputs if "image/png" in output.get("data", {})]
            texts = [text.partition("\n")[2] for text in shown if not text.startswith("figures/")]
            found.append((heading.lstrip("# ").startswith("Play"), texts))
    to_play = [text for is_play, texts in found if is_play for text in texts]
    return to_play or found[0][1]


@pytest.fixture
def opened(app, page):
    """The page once its buttons and its first box are there; the server's log must show no error at the end."""
    earlier = len(app.errors())
    page.goto(f"{app.address}/?token={app.token}")
    page.locator(".nmflib-explore > img").first.wait_for()
    page.wait_for_function(BUILT)
    yield page
    assert app.errors()[earlier:] == []


def choose(page, name):
    page.locator(".play-choice button").get_by_text(name, exact=True).click()
    page.wait_for_function(f"document.querySelector('.play-choice .mod-active').innerText.trim() === '{name}'")
    page.wait_for_timeout(300)  # by then the kernel has said that it computes
    page.wait_for_function(BUILT, timeout=1000 * BOX_SECONDS)


def test_the_page_has_no_code_and_lines_of_readable_width(opened):
    buttons = [text.strip() for text in opened.locator(".play-choice button").all_inner_texts()]
    assert buttons == [*(path.stem.replace("_", " ") for path in CHAPTERS), "your own recording"]
    assert opened.locator(".jp-InputArea-editor, .cm-editor, .highlight").count() == 0
    opened.set_viewport_size({"width": 1920, "height": 1080})
    widths = opened.locator(".play p").evaluate_all("ps => ps.map(p => p.getBoundingClientRect().width)")
    assert 0 < max(widths) < 900
    text = opened.locator("body").inner_text()
    assert "import " not in text
    assert len(text.split()) < 250


def test_every_box_is_built_when_it_is_chosen_and_answers(opened, kept):
    for path in CHAPTERS:
        choose(opened, path.stem.replace("_", " "))
        assert opened.locator(".play h2").inner_text().startswith(path.stem[:2])
        assert opened.locator(".play h2 + p").inner_text().strip()
        boxes, texts = [box for box in Box.all(opened) if box.box.is_visible()], published(path)
        opened.screenshot(path=kept / f"app_{path.stem[:2]}.png", full_page=True)
        assert len(boxes) == len(texts) > 0
        for box, text in zip(boxes, texts, strict=True):
            first = box.settled()
            assert first.text == text, f"{path.stem}: live and published text of the default values differ"
            assert box.is_sharp()
            control = box.controls()[0]
            now = box.moved(control, control.ways(every=False)[0], first)
            assert now.picture != first.picture
            if now.sounds:
                play(box.box.locator("audio").first)


def test_a_recording_of_ones_own_is_separated(opened, kept):
    choose(opened, "your own recording")
    check_uploads(opened, kept / "app_upload.png")
    choose(opened, "00 start here")
    assert not opened.locator(".separate-upload").is_visible()
    choose(opened, "your own recording")
    assert "my_recording.wav" in opened.locator(".separate-upload").inner_text(), "what was done is still there"
