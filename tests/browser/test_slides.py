"""The slides in a browser without a network: `make slides`, then every deck and every slide of it."""

import re
import sys

import pytest
from test_site import CHAPTERS, ROOT, built, strips

sys.path.insert(0, str(ROOT / "tools" / "site"))
from grids import all_grids

TALKS = {"talk-45": "A", "talk-90": "AB", "talk-180": "ABC"}
WORDS = 40
PLACE = "f => [...document.querySelectorAll('section')].indexOf(f.closest('section'))"
READY = "Reveal.isReady?.() && Reveal.getCurrentSlide().dataset.ready"
TEACHING = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| ([ABC]) \| \[\d+\]\(notebooks/(\w+)\.ipynb\)", TEACHING, flags=re.MULTILINE)

# What a person sees of the slide that is shown: its words are those with a letter, formulas aside.
SEEN = """() => {
  const slide = Reveal.getCurrentSlide();
  const seen = slide.cloneNode(true);
  const unread = "aside, mjx-container, details, figcaption, script, .controls, .sounding";
  seen.querySelectorAll(unread).forEach((part) => part.remove());
  const spaced = [...seen.querySelectorAll("*")].map((part) => part.append(" ")) && seen.textContent;
  const inside = slide.getBoundingClientRect();
  const bar = document.getElementById("bar").getBoundingClientRect();
  const parts = [...slide.querySelectorAll("h2, figure, img, table, pre, .said p, .body > *, audio, mjx-container")];
  const frames = [...slide.querySelectorAll(".frame")];
  const shown = [...frames, ...parts.filter((part) => part.checkVisibility() && !part.closest(".frame, aside, .view"))];
  const boxes = shown.map((part) => part.getBoundingClientRect());
  const picture = slide.querySelector("figure .frame, figure > img, figure .view")?.getBoundingClientRect();
  return {
    title: slide.querySelector("h2").innerText.trim(),
    words: spaced.split(/\\s+/).filter((token) => /\\p{L}/u.test(token)),
    out: boxes.some((box) => box.right > innerWidth || box.left < 0 || box.top < 0 || box.bottom > bar.top + 1),
    cut: [...slide.querySelectorAll("pre")].some((lines) => lines.scrollWidth > lines.clientWidth),
    picture: picture && [picture.width / inside.width, picture.height / inside.height],
    notes: slide.querySelector("aside.notes").textContent.trim().split(/\\s+/).length,
    asked: slide.querySelector(".question")?.innerText ?? "",
    minute: document.getElementById("minute").innerText,
    size: parseFloat(getComputedStyle(document.getElementById("minute")).fontSize),
  };
}"""


@pytest.fixture(scope="module")
def slides():
    all_grids()  # which take minutes where `make site` has not made them
    return built("slides.py", "slides")


@pytest.fixture
def deck(slides, open_page):
    """deck(name): the page of a deck, as a file without a server, at its first slide."""

    def opened(name):
        page = open_page((slides / f"{name}.html").as_uri(), viewport={"width": 1280, "height": 720})
        page.wait_for_function(READY)
        return page

    return opened


def go(page, number):
    page.evaluate(f"Reveal.slide({number}, 0, 99)")
    page.wait_for_function(READY)
    page.wait_for_function(
        "[...Reveal.getCurrentSlide().querySelectorAll('img')].every((i) => i.complete || !i.checkVisibility())"
    )


@pytest.mark.parametrize("name", [*TALKS, *CHAPTERS])
def test_every_slide_has_a_title_few_words_notes_and_fits(name, deck):
    page = deck(name)
    faults, minutes = [], []
    total = page.evaluate("Reveal.getTotalSlides()")
    for number in range(total):
        go(page, number)
        seen = page.evaluate(SEEN)
        here = f"slide {number + 1}, {seen['title']!r}"
        minute = re.match(r"minute (\d+) of (\d+)", seen["minute"])
        minutes.append(int(minute[1]))
        if not seen["title"] or len(seen["words"]) > WORDS:
            faults.append(f"{here} has {len(seen['words'])} words: {' '.join(seen['words'])}")
        if seen["out"] or seen["cut"]:
            faults.append(f"{here}: something is cut off or beneath the bar")
        if seen["picture"] and max(seen["picture"]) < 0.6:
            faults.append(f"{here}: the picture takes {seen['picture']} of the slide")
        if seen["notes"] < 8 or seen["size"] < 18:
            faults.append(f"{here}: notes of {seen['notes']} words, minute in {seen['size']} pixels")
    assert faults == []
    assert total >= 5
    assert minutes == sorted(minutes) and minutes[0] == 0 and minutes[-1] < int(minute[2])
    assert page.locator("mjx-merror").count() == 0
    assert [p for p in page.locator("img").all() if not (p.get_attribute("alt") or "").strip()] == []


@pytest.mark.parametrize(("name", "letters"), TALKS.items(), ids=TALKS)
def test_a_talk_follows_the_plan_of_the_teachers_guide(name, letters, deck):
    page = deck(name)
    rows = [(int(minutes), chapter) for minutes, letter, chapter in ROWS if letter in letters]
    page.keyboard.press("c")
    entries = page.locator("#contents li a").all_inner_texts()
    starts = [sum(minutes for minutes, _ in rows[:k]) for k in range(len(rows))]
    found = [re.match(r"(\d+) min\s+(.*)", entry).groups() for entry in entries][1:]
    assert [int(start) for start, _ in found][: len(rows)] == starts
    for (_, title), (_, chapter) in zip(found, rows[:-1], strict=False):
        assert title.startswith(f"{chapter[:2]} · ")
    page.locator("#contents li a").nth(2).click()
    page.wait_for_function(READY)
    assert not page.locator("#contents").is_visible()
    assert page.locator("#minute").inner_text().startswith(f"minute {starts[1]} of {name[5:]}")
    notes = page.evaluate("Reveal.getCurrentSlide().querySelector('aside').textContent")
    assert "Ask, then move." in notes and "Answer." in notes


def test_the_notes_open_in_a_window_of_their_own_and_follow(deck):
    page = deck("talk-45")
    with page.context.expect_page() as opened:
        page.keyboard.press("s")
    notes = opened.value.locator(".speaker-controls-notes")
    notes.get_by_text("Minute 0 of 45").wait_for()
    page.keyboard.press("ArrowRight")
    notes.get_by_text("Ask, then move.").wait_for()
    assert "Answer." in notes.inner_text()
    assert "\\(" not in notes.inner_text()


def test_the_answer_comes_after_the_question_and_the_clock_runs(deck):
    page = deck("talk-45")
    page.keyboard.press("ArrowRight")
    answer = page.locator("section.present .answer")
    assert page.locator("section.present .question").is_visible()
    assert answer.evaluate("answer => getComputedStyle(answer).visibility") == "hidden"
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('section.present .answer').classList.contains('visible')")
    assert page.locator("#minute").inner_text() == "minute 0 of 45, now 0"


@pytest.mark.parametrize("stem", CHAPTERS)
def test_the_sliders_of_the_slides_move(stem, deck):
    page = deck(stem)
    moved = 0
    for file, facts in strips(stem):
        figures = page.locator("figure[data-frames]").filter(has=page.locator(f'.frame img[src$="/{file.name}"]'))
        if not figures.count():
            continue  # a figure with all its controls stands in its place
        figure = figures.first
        go(page, figure.evaluate(PLACE))
        where = page.url
        figure.get_by_role("slider").focus()
        for _ in facts["frames"][1:]:
            page.keyboard.press("ArrowRight")
        assert figure.locator("output").inner_text() == ", ".join(facts["frames"][-1]["values"].values())
        assert page.url == where, "the arrow keys of the slider also turned the slide"
        moved += 1
    for figure in page.locator("figure.explore").all():
        go(page, figure.evaluate(PLACE))
        where, before = page.url, figure.locator(".view img").get_attribute("src")
        for slider in figure.get_by_role("slider").all():
            slider.focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowRight")
        page.wait_for_function("([f, old]) => f.querySelector('.view img').getAttribute('src') !== old",
                               arg=[figure.element_handle(), before])  # fmt: skip
        assert page.url == where
        figure.get_by_role("button", name="Reset").click()
        moved += 1
    assert moved >= len(strips(stem)) > 0 or stem.startswith("15")


def test_the_first_page_lists_every_deck_and_all_files_are_there(slides, open_page):
    page = open_page((slides / "index.html").as_uri())
    listed = [link.get_attribute("href") for link in page.locator("a").all()]
    assert listed == [f"{name}.html" for name in [*TALKS, *CHAPTERS]]
    for deck_file in slides.glob("*.html"):
        files = set(re.findall(r'(?:src|href)="((?!#|https?:)[^"]+)"', deck_file.read_text("utf-8")))
        assert [file for file in files if not (slides / file).is_file()] == []
