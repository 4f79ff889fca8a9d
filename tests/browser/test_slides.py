"""The slides in a browser without a network: `make slides`, then every slide."""

import re

import pytest
from test_site import BUILD_SECONDS, CHAPTERS, built, strips

# Whether a line of printed output is cut off on this slide, or a picture is small in both directions.
CUT_OR_SMALL = """() => {
  const slide = Reveal.getCurrentSlide();
  const cut = [...slide.querySelectorAll("pre")].some((lines) => lines.scrollWidth > lines.clientWidth);
  const small = [...slide.querySelectorAll("figure > img")].some((i) => i.clientWidth < 900 && i.clientHeight < 400);
  return cut || small;
}"""


@pytest.fixture(scope="module")
def slides():
    with built("slides.py", "slides") as served:
        yield served


def test_every_slide_fits(slides, open_page):
    address, *_ = slides
    page = open_page(address)
    page.wait_for_function("Reveal.isReady?.() && Reveal.getCurrentSlide().dataset.ready")
    page.evaluate("Reveal.configure({ transition: 'none' })")
    places = page.evaluate("Reveal.getSlides().map((s) => [Reveal.getIndices(s).h, Reveal.getIndices(s).v || 0])")
    faults, titles = [], {}
    for h, v in places:
        page.evaluate(f"Reveal.slide({h}, {v}, 99)")
        page.wait_for_function("Reveal.getCurrentSlide().dataset.ready")
        page.wait_for_function(
            "[...Reveal.getCurrentSlide().querySelectorAll('img')].every((i) => i.complete || !i.checkVisibility())"
        )
        high, wide, size, text = page.evaluate(
            "(({ scrollHeight, scrollWidth, style, innerText }) => "
            "[scrollHeight, scrollWidth, style.fontSize, innerText])(Reveal.getCurrentSlide())"
        )
        titles.setdefault(h, text.split("\n")[0])
        if high > 720 or wide > 1280 or not text.strip() or int(size.rstrip("%") or 100) < 60:
            faults.append(f"slide {h}/{v} is {wide} x {high} at {size or '100%'}: {text[:60]!r}")
        if page.evaluate(CUT_OR_SMALL):
            faults.append(f"slide {h}/{v}: a line is cut off, or a picture is small: {text[:60]!r}")
    assert len(places) > 10 * len(CHAPTERS)
    assert faults == []
    assert [titles[h][:2] for h in range(1, len(CHAPTERS) + 1)] == [stem[:2] for stem in CHAPTERS]
    assert page.locator("mjx-merror").count() == 0
    assert [
        p.get_attribute("src") for p in page.locator("img").all() if not (p.get_attribute("alt") or "").strip()
    ] == []


def test_the_sliders_of_the_slides_move(slides, open_page):
    address, *_ = slides
    page = open_page(address)
    page.wait_for_function("Reveal.isReady?.() && Reveal.getCurrentSlide().dataset.ready")
    page.evaluate("Reveal.configure({ transition: 'none' })")
    for stem in CHAPTERS:
        for file, facts in strips(stem):
            figure = page.locator("figure[data-frames]").filter(has=page.locator(f'.frame img[src$="/{file.name}"]'))
            figure.evaluate(
                "(f) => { const { h, v } = Reveal.getIndices(f.closest('section')); Reveal.slide(h, v, 99); }"
            )
            page.wait_for_function("Reveal.getCurrentSlide().dataset.ready")
            where = page.url
            figure.get_by_role("slider").focus()
            for _ in facts["frames"][1:]:
                page.keyboard.press("ArrowRight")
            assert figure.locator("output").inner_text() == ", ".join(facts["frames"][-1]["values"].values())
            assert page.url == where, "the arrow keys of the slider also turned the slide"


def test_the_slides_point_at_files_that_are_there(slides):
    _, directory, seconds = slides
    text = (directory / "index.html").read_text("utf-8")
    files = set(re.findall(r'(?:src|href)="((?!#|https?:)[^"]+)"', text))
    assert sum(file.endswith(".mp3") for file in files) > 20
    assert [file for file in files if not (directory / file).is_file()] == []
    assert seconds <= BUILD_SECONDS
