"""The site in a browser, without a server or a network: `make site`, then every page, picture, player, slider.

It is built here. Without the film strips' frames in the notebooks' metadata (`make run` writes them) there are no
sliders to test, and that fails.
"""

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import numpy as np
import pytest
from PIL import Image

from nmflib.course.claims import mark, read_table

ROOT = Path(__file__).parents[2]
CHAPTERS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
OTHERS = ["index", "listen", "teaching", "glossary", "sounds", "licence", "search"]
PAGES = OTHERS + [f"notebooks/{stem}" for stem in CHAPTERS]
WITH_CONTROLS = [stem for stem in CHAPTERS if stem[:2] in ("01", "02", "05", "06", "07", "12")]
COMPUTED = "04_sine_simulation"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

SITE_MEGABYTES = 60

# The text of a page whose contrast with what is behind it is below WCAG 2.1 AA: 4.5, for large letters 3.
LOW_CONTRAST = """() => {
  const channels = (colour) => {
    const parts = colour.match(/[\\d.]+/g).map(Number);
    const unit = colour.startsWith("color(srgb") ? 1 : 255;
    return { rgb: parts.slice(0, 3).map((part) => part / unit), alpha: parts.length > 3 ? parts[3] : 1 };
  };
  const over = (front, back) => front.rgb.map((value, i) => front.alpha * value + (1 - front.alpha) * back[i]);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(channels(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((back, layer) => over(layer, back), [1, 1, 1]);
  };
  const luminance = (rgb) => rgb
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const found = new Map();
  let looked = 0;
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const unseen = !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })
      || element.closest("mjx-assistive-mml, script, style, .visually-hidden");
    if (!says || unseen) continue;
    looked += 1;
    const style = getComputedStyle(element);
    const back = behind(element);
    const [dark, light] = [over(channels(style.color), back), back].map(luminance).sort((a, b) => a - b);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < needed) found.set(`${style.color} ${back}`, `${ratio.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
  }
  return [looked, [...found.values()]];
}"""

# Until all in view is there: text, styles, sliders, formulas.
USABLE = """async () => {
  if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done));
  if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
}"""
OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
CUT = "[...document.querySelectorAll('pre')].filter((p) => p.scrollWidth > p.clientWidth + 1).length"
GOES_ON = "(() => { const a = document.querySelector('.sounding audio'); return !a.paused && a.currentTime > 0.3; })()"

PLAYS = """async (player) => {
  player.muted = true;
  await player.play();
  const soon = () => new Promise((go) => setTimeout(go, 50));
  for (let tries = 0; tries < 200 && player.currentTime === 0; tries += 1) await soon();
  const [duration, at] = [player.duration, player.currentTime];
  player.pause();
  return Number.isFinite(duration) && duration > 0 && at > 0;
}"""


def built(script, folder):
    """Build, and return the directory."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "site" / script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / folder


@pytest.fixture(scope="module")
def site():
    return built("build.py", "site")


@pytest.fixture
def visit(site, open_page):
    """visit(name, **options of the context): a page of the site, as a file without a server."""
    return lambda name, query="", **options: open_page(f"{(site / f'{name}.html').as_uri()}{query}", **options)


def strips(stem):
    """The film strips of a chapter: (file, its metadata) in order."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)
    calls = sum(len(re.findall(r"^film_strip\(", c.source, re.M)) for c in notebook.cells if c.cell_type == "code")
    found = []
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        facts = output.get("metadata", {}).get("image/png", {})
        if "frames" in facts:
            found.append((ROOT / output.data["text/plain"].split("\n")[0], facts))
    assert len(found) == calls, f"{stem} has {calls} film strips, {len(found)} of them with frames: make run first"
    return found


def frame_in_view(page, figure):
    """What the frame of a slider shows, as (height, width, 3) numbers from 0 to 255."""
    view = figure.locator(".frame")
    view.scroll_into_view_if_needed()
    page.wait_for_function(
        "(image) => image.complete && image.naturalWidth > 0", arg=view.locator("img").element_handle()
    )
    return np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB"), dtype=float)


def nearest_frame(seen, file, frames):
    """Index of the frame of the strip that is most like what is seen, and the mean difference to it.

    Both are made four times smaller first: a page places a picture at any fraction of a pixel.
    """
    small = np.asarray(Image.fromarray(seen.astype(np.uint8)).reduce(4), dtype=float)
    widest, tallest = (max(frame["box"][side] for frame in frames) for side in (2, 3))
    with Image.open(file) as image:
        strip = image.convert("RGB")
    differences = []
    for left, top, width, height in (frame["box"] for frame in frames):
        expected = Image.new("RGB", (widest, tallest), "white")
        expected.paste(strip.crop((left, top, left + width, top + height)))
        expected = expected.resize(seen.shape[1::-1], Image.Resampling.BILINEAR).reduce(4)
        differences.append(np.abs(np.asarray(expected, dtype=float) - small).mean())
    return int(np.argmin(differences)), min(differences)


def move_every_slider(page, stem):
    """With the keyboard through all frames of all sliders of a chapter."""
    figures = page.locator("figure[data-frames]").filter(has=page.locator(f'img[src*="/{stem[:2]}_"]'))
    expected = strips(stem)
    assert figures.count() == len(expected)
    for number, (file, facts) in enumerate(expected):
        figure, frames = figures.nth(number), facts["frames"]
        slider, value = figure.get_by_role("slider"), figure.locator("output")
        assert slider.get_attribute("id") == figure.locator("label").get_attribute("for")
        assert figure.locator("label").inner_text() == ", ".join(frames[0]["values"])
        slider.focus()
        for index in [*range(len(frames)), 0]:
            page.keyboard.press("ArrowRight" if index else "Home")
            assert value.inner_text() == ", ".join(frames[index]["values"].values())
            assert figure.locator(".frame-text").inner_text().split() == frames[index]["text"].split()
            for name, is_now in frames[index]["values"].items():
                assert f"{name} = {is_now}" in slider.get_attribute("aria-valuetext")
            shown, difference = nearest_frame(frame_in_view(page, figure), file, frames)
            assert (shown, difference < 6) == (index, True), (
                f"{file.name}: frame {shown} shown, off by {difference:.1f}"
            )


# ---------------------------------------------------------------- the site


def test_the_site_is_small_and_every_link_leads_somewhere(site):
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) / 1e6 <= SITE_MEGABYTES
    missing, looked = [], 0
    for page in [*site.glob("*.html"), *site.glob("notebooks/*.html")]:
        here = f"http://site/{page.relative_to(site).as_posix()}"
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8")):
            parts = urlsplit(urljoin(here, link.replace("&amp;", "&")))
            if parts.netloc == "site":
                looked += 1
                target = site / unquote(parts.path).lstrip("/")
                if not (target.is_file() or (target / "index.html").is_file()):
                    missing.append(f"{page.name}: {link}")
    assert looked > 1000
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_complete(name, visit):
    page = visit(name)
    page.evaluate(USABLE)
    assert page.locator("h1:visible").count() == 1
    unnamed = "img:not(.card > img):not([alt]), img:not(.card > img)[alt='']"
    assert [p.get_attribute("src") for p in page.locator(unnamed).all()] == []
    page.evaluate(OPEN_ALL)
    page.evaluate("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    page.evaluate("window.MathJax?.startup.document.lazyTypesetAll()")
    page.wait_for_function("document.querySelector('mjx-lazy') === null")
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math").count() == page.locator(".math mjx-container").count()
    assert page.locator("audio:not([aria-label])").count() == 0
    if name.startswith("notebooks/"):
        assert page.locator("img").count() > 2
        assert page.locator('[lang="fr"]').first.inner_text().startswith("En français")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_and_nothing_leaves_a_phone(name, scheme, visit):
    page = visit(name, color_scheme=scheme, viewport=PHONE)
    page.evaluate(USABLE)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(DESKTOP)
    page.locator(".bd-sidebar-primary a").last.wait_for(state="visible")  # the side bars come a moment later
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    assert not name.startswith("notebooks/") or page.evaluate(CUT.replace("pre", ".cell_input pre")) == 0
    looked, low = page.evaluate(LOW_CONTRAST)
    assert looked > 20
    assert low == []


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_player_plays(stem, site, visit):
    page = visit(f"notebooks/{stem}")
    page.wait_for_function("[...document.querySelectorAll('figure.computes')].every((f) => f.dataset.shown)")
    players = page.locator("audio").all()
    expected = (site / "notebooks" / f"{stem}.html").read_text("utf-8").count("<audio ")
    assert len(players) == expected + page.locator(".sounding").count()
    assert [player.get_attribute("src") for player in players if not player.evaluate(PLAYS)] == []


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_strip_is_there_without_scripts_and_a_slider_with_them(stem, visit):
    plain = visit(f"notebooks/{stem}", java_script_enabled=False).locator("figure[data-frames]")
    assert plain.count() == len(strips(stem))
    assert all(picture.is_visible() for picture in plain.locator("img").all())
    move_every_slider(visit(f"notebooks/{stem}", color_scheme="light"), stem)


@pytest.mark.parametrize(("words", "stem"), [("overflow int16", "07"), ("gaussien", "03")])
def test_search_finds_words_of_both_languages_and_shows_excerpts_without_a_server(words, stem, visit):
    page = visit("search", f"?q={words.replace(' ', '+')}")
    page.locator(f'#search-results a[href*="notebooks/{stem}_"]').first.wait_for()
    page.locator("#search-results p.context").first.wait_for()
    assert any(word in page.locator("#search-results").inner_text().lower() for word in words.split())


def test_the_first_page_has_every_claim_in_one_line_and_every_chapter(visit):
    page = visit("index")
    claims = read_table(ROOT / "data" / "talk_claims.csv")
    verdicts = {row["claim"]: row["verdict"] for row in read_table(ROOT / "figures" / "claims.csv")}
    rows = [row.locator("td").all_inner_texts() for row in page.locator(".claims tbody tr").all()]
    assert [(row[0], row[2][0], row[3]) for row in rows] == [
        (claim["claim"], mark(verdicts[claim["claim"]]), claim["notebook"][:2]) for claim in claims
    ]
    assert not page.locator(".ledger").is_visible()
    page.locator("summary").last.click()
    assert page.locator(".ledger tbody tr").count() == len(claims)
    cards = [card.get_attribute("href") for card in page.locator("a.card").all()]
    assert cards == [f"notebooks/{stem}.html" for stem in CHAPTERS]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_first_page_sounds_after_one_click(viewport, visit):
    page = visit("index", viewport=viewport)
    page.locator("figure.explore.live").wait_for()
    button = page.locator(".sounding button").nth(1)
    assert button.bounding_box()["y"] < viewport["height"], "seen without scrolling"
    button.click()
    page.wait_for_function("document.querySelector('.sounding audio').currentTime > 0")
    assert button.get_attribute("aria-pressed") == "true"


def explorers(page):
    """The figures with controls of a page, each with its grid."""
    page.locator("figure.explore.live").first.wait_for()
    found = page.locator("figure.explore").all()
    return [(figure, json.loads(figure.locator("script").text_content())) for figure in found]


def settled(page, figure, places):
    """Wait until the figure shows the setting, and return what it shows."""
    handle = figure.element_handle()
    page.wait_for_function("([f, p]) => f.dataset.shown === p", arg=[handle, " ".join(map(str, places))])
    player = figure.locator(".sounding audio")
    heard = Path(player.get_attribute("src")).name if player.count() else None
    seen = Path(figure.locator(".view img").get_attribute("src")).name
    return seen, figure.locator(".said").inner_text(), heard


def frame(grid, places):
    at = 0
    for control, place in zip(grid["controls"], places, strict=True):
        at = at * len(control["values"]) + place
    return grid["frames"][at]


@pytest.mark.parametrize("stem", ["index", *WITH_CONTROLS])
def test_every_control_is_moved_by_keyboard_and_picture_text_and_sound_follow(stem, site, visit):
    page = visit("index" if stem == "index" else f"notebooks/{stem}")
    for figure, grid in explorers(page):
        places = [control["start"] for control in grid["controls"]]
        settled(page, figure, places)
        for i, control in enumerate(grid["controls"]):
            handle = figure.locator(".control :is(input, select)").nth(i)
            assert figure.locator("label").nth(i).inner_text() == control["label"]
            for key, place in (("Home", 0), ("End", len(control["values"]) - 1)):
                handle.focus()
                page.keyboard.press(key)
                places[i] = place
                seen, said, heard = settled(page, figure, places)
                wanted = frame(grid, places)
                assert (seen, said.split()) == (wanted["picture"], wanted["text"].split())
                assert (heard is None) == (wanted["sounds"] == {})
                if heard:
                    assert heard in wanted["sounds"].values()
        named = {file for shown in grid["frames"] for file in [shown["picture"], *shown["sounds"].values()]}
        kept = site / "grids" / Path(grid["folder"]).name
        assert named == {file.name for file in kept.iterdir()}, "all files are there, and no others"


def test_what_plays_goes_on_at_its_place_and_two_settings_are_compared(visit):
    page = visit("notebooks/05_discontinuity_error")
    (figure, grid), *_ = explorers(page)
    start = [control["start"] for control in grid["controls"]]
    audio, buttons = figure.locator(".sounding audio"), figure.locator(".sounding button")
    buttons.nth(1).click()
    page.wait_for_function("document.querySelector('.sounding audio').currentTime > 0.3")
    first = settled(page, figure, start)
    figure.get_by_role("button", name="B", exact=True).click()
    figure.locator(".controls .buttons button").nth(0).click()
    slow = [grid["presets"]["slow: 1, 2"].get(control["name"], place)
            for control, place in zip(grid["controls"], start, strict=True)]  # fmt: skip
    second = settled(page, figure, slow)
    assert first[2] != second[2]
    page.wait_for_function(GOES_ON)
    assert audio.get_attribute("aria-label") == buttons.nth(1).inner_text().strip("▶❚ ")
    figure.get_by_role("button", name="A", exact=True).click()
    assert settled(page, figure, start) == first
    figure.get_by_role("button", name="B", exact=True).click()
    assert settled(page, figure, slow) == second
    figure.get_by_role("button", name="Reset").click()
    assert settled(page, figure, start)[0] == first[0]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_figure_is_computed_in_the_page_as_a_file_without_a_server(viewport, visit):
    page = visit(f"notebooks/{COMPUTED}", viewport=viewport)
    figure = page.locator("figure.computes")
    picture = figure.get_by_role("img")

    def shown(*setting):
        wanted = " ".join(map(str, setting))
        page.wait_for_function("([f, w]) => f.dataset.shown === w", arg=[figure.element_handle(), wanted])
        numbers = re.fullmatch(
            r"SDR source 1: (-?[\d.]+) dB, source 2: (-?[\d.]+) dB", figure.locator(".said").inner_text()
        )
        drawn = picture.evaluate("canvas => canvas.toDataURL()")
        return drawn, [float(number) for number in numbers.groups()], figure.locator("audio").get_attribute("src")

    first = shown(1, 2, 2, "KL", 0)
    assert min(first[1]) > 25
    assert picture.bounding_box()["width"] > 0.6 * min(viewport["width"], 640)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    figure.locator("audio").evaluate("audio => { audio.loop = true; }")
    figure.locator(".sounding button").nth(1).click()
    page.wait_for_function("document.querySelector('.sounding audio').currentTime > 0.3")
    figure.get_by_role("button", name="fast: 23, 31").click()
    fast = shown(23, 31, 2, "KL", 0)
    assert max(fast[1]) < min(first[1])
    page.wait_for_function(GOES_ON)
    figure.get_by_role("button", name="Reset").click()
    assert shown(1, 2, 2, "KL", 0)[:2] == first[:2], "the same setting computes the same"

    setting = [1, 2, 2, "KL", 0]
    ends = [(0.5, 40), (0.5, 40), (1, 4), ("IS", "Euclidean")]
    seen = {first[0]}
    for i, (lowest, highest) in enumerate(ends):
        for key, value in (("Home", lowest), ("End", highest)):
            figure.locator(".control :is(input, select)").nth(i).focus()
            page.keyboard.press(key)
            setting[i] = value
            drawn, _, heard = shown(*setting)
            assert drawn not in seen and heard.startswith("blob:")
            seen.add(drawn)
    figure.get_by_role("button", name="another random start").click()
    setting[-1] = 1
    assert shown(*setting)[0] not in seen
    figure.get_by_role("button", name="Reset").click()
    assert shown(1, 2, 2, "KL", 0)[:2] == first[:2], "another start is forgotten too"


def test_code_of_pictures_is_folded_and_one_button_opens_it_on_all_pages(visit):
    page = visit("notebooks/04_sine_simulation")
    code = page.locator("details.hide.above-input pre")
    assert code.count() > 5 and not any(cell.is_visible() for cell in code.all())
    page.get_by_role("button", name="Show all code").click()
    assert all(cell.is_visible() for cell in code.all())
    page.goto(page.url.replace("04_sine_simulation", "05_discontinuity_error"))
    assert all(cell.is_visible() for cell in code.all())
    page.get_by_role("button", name="Fold the code of pictures").click()
    assert not code.first.is_visible()


def test_nothing_is_cut_in_print(visit):
    page = visit("notebooks/04_sine_simulation", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    assert page.evaluate(CUT.replace("pre", ".bd-article pre")) == 0
    assert not page.locator("audio").first.is_visible()
