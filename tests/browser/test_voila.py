"""Two chapters as Voilà shows them: pages without code, whose controls, players and upload work."""

import pytest
from live import Box, play
from recordings import check_uploads
from test_lab import ROOT, calls, default_texts, nbformat, pictures

SERVED = sorted(path.name for number in ("04", "12") for path in (ROOT / "notebooks").glob(f"{number}_*.ipynb"))
RUN_SECONDS = 400
ICONS = "https://cdn.jsdelivr.net/npm/@fortawesome/fontawesome-free@"  # Voilà's own template asks for these, only these


@pytest.mark.parametrize("name", SERVED, ids=lambda name: name[:2])
def test_a_chapter_as_a_page(name, voila, page, kept):
    earlier = len(voila.errors())
    notebook = nbformat.read(voila.directory / "notebooks" / name, as_version=4)
    page.route(f"{ICONS}**", lambda route: route.fulfill(content_type="text/css", body=""))
    page.goto(f"{voila.address}/voila/render/notebooks/{name}?token={voila.token}", timeout=1000 * RUN_SECONDS)
    page.locator("h2:has-text('References')").wait_for(timeout=1000 * RUN_SECONDS)
    texts = default_texts(notebook)
    page.locator(".nmflib-explore > img").nth(len(texts) - 1).wait_for()

    assert page.locator(".jp-CodeMirrorEditor, .jp-InputArea-editor, .highlight, .cm-editor").count() == 0
    assert "import " not in page.locator("body").inner_text()
    drawn = page.locator(".jp-RenderedImage img")
    live = sum(calls(cell) for cell in notebook.cells) + page.locator(".separate-upload").count()
    assert drawn.count() == len(pictures(notebook)) - live
    assert all(image.evaluate("image => image.naturalWidth > 100") for image in drawn.all())

    boxes, tried = Box.all(page), set()
    assert len(boxes) == len(texts) > 0
    for box, text in zip(boxes, texts, strict=True):
        first = box.try_every_control(tried)
        assert first.text == text, "live and published text of the default values differ"
        if first.sounds:
            play(box.box.locator("audio").first)
    if page.locator(".separate-upload").count():
        check_uploads(page, kept / f"voila_{name[:2]}_upload.png", large=False)
    assert voila.errors()[earlier:] == []
    page.complaints[:] = [words for words in page.complaints if ICONS not in words]
