"""The site in a browser without a network: `make site`, then every page, picture, player, slider.

It is built here. Without the film strips' frames in the notebooks' metadata (`make run` writes them) there are no
sliders to test, and that fails.
"""

import contextlib
import functools
import http.server
import io
import json
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import numpy as np
import psutil
import pytest
from PIL import Image

from nmflib.course.claims import NOT_YET, mark, read_table

ROOT = Path(__file__).parents[2]
CHAPTERS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
OTHERS = ["index", "listen", "teaching", "glossary", "sounds", "licence", "search"]
PAGES = [f"{name}.html" for name in OTHERS] + [f"notebooks/{stem}.html" for stem in CHAPTERS]
WITH_CONTROLS = [stem for stem in CHAPTERS if stem[:2] in ("01", "02", "05", "06", "07", "12")]
COMPUTED = "04_sine_simulation"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

SITE_MEGABYTES, BUILD_SECONDS, USABLE_SECONDS = 60, 2 * 240, 2  # on two cores; slides take far less

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

# Seconds after the start of the navigation at which all in view is there: text, styles, sliders, formulas.
USABLE = """async () => {
  if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done));
  if (window.MathJax?.startup?.promise) await MathJax.startup.promise;
  return performance.now() / 1000;
}"""

PLAYS = """async (player) => {
  player.muted = true;
  await player.play();
  const soon = () => new Promise((go) => setTimeout(go, 50));
  for (let tries = 0; tries < 200 && player.currentTime === 0; tries += 1) await soon();
  const [duration, at] = [player.duration, player.currentTime];
  player.pause();
  return Number.isFinite(duration) && duration > 0 && at > 0;
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def built(script, folder):
    """Build, and serve: the address, the directory, and the seconds of processor time it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, ROOT / "tools" / "site" / script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    directory = ROOT / "build" / folder
    handler = functools.partial(Quiet, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", directory, seconds
        server.shutdown()


@pytest.fixture(scope="module")
def site():
    with built("build.py", "site") as served:
        yield served


def processor_seconds():
    """What the browser's processes that run pages have used so far."""
    used = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "--type=renderer" in process.cmdline():
                used += process.cpu_times().user + process.cpu_times().system
    return used


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
    """With the keyboard through all frames of all sliders of a chapter; returns how many frames were seen."""
    count = 0
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
            count += 1
    return count


# ---------------------------------------------------------------- the site


def test_the_site_is_small_and_soon_built(site):
    _, directory, seconds = site
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 1e6
    print(f"{size:.0f} MB, {seconds:.0f} s of processor time")
    assert size <= SITE_MEGABYTES
    assert seconds <= BUILD_SECONDS


def test_every_link_of_the_site_leads_somewhere(site):
    _, directory, _ = site
    missing, looked = [], 0
    for page in [*directory.glob("*.html"), *directory.glob("notebooks/*.html")]:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text("utf-8")):
            parts = urlsplit(
                urljoin(f"http://site/{page.relative_to(directory).as_posix()}", link.replace("&amp;", "&"))
            )
            if parts.netloc == "site":
                looked += 1
                target = directory / unquote(parts.path).lstrip("/")
                if not (target.is_file() or (target / "index.html").is_file()):
                    missing.append(f"{page.name}: {link}")
    assert looked > 1000
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_soon_usable_and_complete(name, site, open_page):
    address, *_ = site
    for _ in range(3):
        page = open_page("about:blank")
        before = processor_seconds()
        page.goto(address + name)
        seconds = page.evaluate(USABLE)
        work = processor_seconds() - before
        print(f"{name}: usable after {seconds:.2f} s, {work:.2f} s of its process")
        if min(seconds, work) <= USABLE_SECONDS:
            break  # on a machine that is busy with other things, the work is what the page itself needs
    assert min(seconds, work) <= USABLE_SECONDS

    assert page.locator("h1:visible").count() == 1
    pictures = page.locator("img")
    unnamed = "img:not(.card > img):not([alt]), img:not(.card > img)[alt='']"
    assert [p.get_attribute("src") for p in page.locator(unnamed).all()] == []
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.evaluate("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    page.evaluate("window.MathJax?.startup.document.lazyTypesetAll()")
    page.wait_for_function("document.querySelector('mjx-lazy') === null")
    assert page.locator("mjx-merror").count() == 0
    assert page.locator(".math").count() == page.locator(".math mjx-container").count()
    assert page.locator("audio:not([aria-label])").count() == 0
    if name.startswith("notebooks/"):
        assert pictures.count() > 2
        assert page.locator('[lang="fr"]').first.inner_text().startswith("En français")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_and_nothing_leaves_a_phone(name, scheme, site, open_page):
    address, *_ = site
    page = open_page(address + name, color_scheme=scheme, viewport=PHONE)
    page.evaluate(USABLE)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(DESKTOP)
    page.locator(".bd-sidebar-primary a").last.wait_for(state="visible")  # the side bars come a moment later
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= DESKTOP["width"]
    looked, low = page.evaluate(LOW_CONTRAST)
    assert looked > 20
    assert low == []


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_player_plays(stem, site, open_page):
    address, directory, _ = site
    page = open_page(f"{address}notebooks/{stem}.html")
    page.wait_for_function("[...document.querySelectorAll('figure.computes')].every((f) => f.dataset.shown)")
    players = page.locator("audio").all()
    expected = (directory / "notebooks" / f"{stem}.html").read_text("utf-8").count("<audio ")
    assert len(players) == expected + page.locator(".sounding").count()
    assert [player.get_attribute("src") for player in players if not player.evaluate(PLAYS)] == []


def test_there_are_sounds_to_play(site):
    _, directory, _ = site
    assert sum(page.read_text("utf-8").count("<audio ") for page in directory.glob("notebooks/*.html")) > 20


@pytest.mark.parametrize("stem", CHAPTERS)
def test_every_slider_moves_by_keyboard(stem, site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/{stem}.html", color_scheme="light")
    move_every_slider(page, stem)


def test_a_slider_moves_by_mouse_and_shows_all_frames(site, open_page):
    address, *_ = site
    stem = next(stem for stem in CHAPTERS if strips(stem))
    page = open_page(f"{address}notebooks/{stem}.html")
    file, facts = strips(stem)[0]
    figure = page.locator("figure[data-frames]").first
    box = figure.get_by_role("slider").bounding_box()
    figure.get_by_role("slider").click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    last = len(facts["frames"]) - 1
    assert figure.locator("output").inner_text() == ", ".join(facts["frames"][last]["values"].values())
    assert nearest_frame(frame_in_view(page, figure), file, facts["frames"])[0] == last
    whole = figure.locator("details img")
    assert not whole.is_visible()
    figure.locator("summary").click()
    assert whole.is_visible()


def test_without_scripts_the_strips_are_there(site, open_page):
    address, *_ = site
    for stem in CHAPTERS:
        page = open_page(f"{address}notebooks/{stem}.html", java_script_enabled=False)
        figures = page.locator("figure[data-frames]")
        assert figures.count() == len(strips(stem))
        assert all(picture.is_visible() for picture in figures.locator("img").all())


def test_search_finds_words_of_both_languages(site, open_page):
    address, *_ = site
    for words, stem in (("overflow int16", "07"), ("gaussien", "03")):
        page = open_page(f"{address}search.html?q={words.replace(' ', '+')}")
        page.locator(f'#search-results a[href*="notebooks/{stem}_"]').first.wait_for()


def test_the_theme_and_the_next_chapter_are_reached_by_keyboard(site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/{CHAPTERS[0]}.html", color_scheme="light")
    button = page.locator(".theme-switch-button").first
    button.focus()
    for theme in ("dark", "light"):
        button.focus()
        page.keyboard.press("Enter")
        for _ in range(3):
            if page.evaluate("document.activeElement.dataset.mode") != theme:
                page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == theme
    for stem in CHAPTERS[1:]:
        page.locator("a.right-next").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/notebooks/{stem}.html")


def test_the_first_page_has_every_claim_in_one_line_and_every_chapter(site, open_page):
    address, *_ = site
    page = open_page(address)
    claims = read_table(ROOT / "data" / "talk_claims.csv")
    verdicts = {row["claim"]: row["verdict"] for row in read_table(ROOT / "figures" / "claims.csv")}
    rows = page.locator(".claims tbody tr").all()
    assert [row.locator("td").first.inner_text() for row in rows] == [claim["claim"] for claim in claims]
    for row, claim in zip(rows, claims, strict=True):
        found = verdicts.get(claim["claim"], NOT_YET)
        assert row.locator("td").nth(2).inner_text().startswith(mark(found))
        assert row.locator("td").nth(3).inner_text() == claim["notebook"][:2]
    assert not page.locator(".ledger").is_visible()
    page.locator("summary").last.click()
    assert page.locator(".ledger tbody tr").count() == len(claims)
    assert [card.get_attribute("href") for card in page.locator("a.card").all()] == [
        f"notebooks/{stem}.html" for stem in CHAPTERS
    ]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_first_page_sounds_after_one_click(viewport, site, open_page):
    address, *_ = site
    page = open_page(address, viewport=viewport)
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
def test_every_control_is_moved_by_keyboard_and_picture_text_and_sound_follow(stem, site, open_page):
    address, directory, _ = site
    folder = "" if stem == "index" else "notebooks/"
    page = open_page(f"{address}{folder}{stem}.html")
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
        kept = directory / "grids" / Path(grid["folder"]).name
        assert named == {file.name for file in kept.iterdir()}, "all files are there, and no others"


@pytest.mark.parametrize("stem", WITH_CONTROLS[:3])
def test_a_setting_answers_within_a_tenth_of_a_second(stem, site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/{stem}.html")
    times = page.evaluate("""async () => {
      const figure = document.querySelector("figure.explore"), range = figure.querySelector("input"), times = [];
      for (let turn = 0; turn < 12; turn += 1) {
        const before = figure.dataset.shown, start = performance.now();
        range.value = Number(range.value) === Number(range.max) ? 0 : Number(range.value) + 1;
        range.dispatchEvent(new Event("input"));
        while (figure.dataset.shown === before) await new Promise((go) => setTimeout(go, 2));
        times.push(performance.now() - start);
      }
      return times;
    }""")
    print(f"{stem}: {np.median(times):.0f} ms, at most {max(times):.0f} ms")
    assert np.median(times) <= 100


def test_what_plays_goes_on_at_its_place_and_two_settings_are_compared(site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/05_discontinuity_error.html")
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
    page.wait_for_function(
        "(() => { const a = document.querySelector('.sounding audio'); return !a.paused && a.currentTime > 0.3; })()"
    )
    assert audio.get_attribute("aria-label") == buttons.nth(1).inner_text().strip("▶❚ ")
    figure.get_by_role("button", name="A", exact=True).click()
    assert settled(page, figure, start) == first
    figure.get_by_role("button", name="B", exact=True).click()
    assert settled(page, figure, slow) == second
    figure.get_by_role("button", name="Reset").click()
    assert settled(page, figure, start)[0] == first[0]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_figure_is_computed_in_the_page_as_a_file_without_a_server(viewport, site, open_page):
    _, directory, _ = site
    page = open_page((directory / "notebooks" / f"{COMPUTED}.html").as_uri(), viewport=viewport)
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
    page.wait_for_function(
        "(() => { const a = document.querySelector('.sounding audio'); return !a.paused && a.currentTime > 0.3; })()"
    )
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


def test_code_of_pictures_is_folded_and_one_button_opens_it_on_all_pages(site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/04_sine_simulation.html")
    code = page.locator("details.hide.above-input pre")
    assert code.count() > 5 and not any(cell.is_visible() for cell in code.all())
    page.get_by_role("button", name="Show all code").click()
    assert all(cell.is_visible() for cell in code.all())
    page.goto(f"{address}notebooks/05_discontinuity_error.html")
    assert all(cell.is_visible() for cell in page.locator("details.hide.above-input pre").all())
    page.get_by_role("button", name="Fold the code of pictures").click()
    assert not page.locator("details.hide.above-input pre").first.is_visible()


def test_no_line_of_code_is_cut(site, open_page):
    address, *_ = site
    for stem in CHAPTERS:
        page = open_page(f"{address}notebooks/{stem}.html")
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        cut = page.evaluate(
            "[...document.querySelectorAll('.cell_input pre')].filter((p) => p.scrollWidth > p.clientWidth + 1).length"
        )
        assert (stem, cut) == (stem, 0)


def test_search_shows_excerpts_without_a_server(site, open_page):
    _, directory, _ = site
    page = open_page(f"{(directory / 'search.html').as_uri()}?q=overflow")
    page.locator("#search-results p.context").first.wait_for()
    assert "overflow" in page.locator("#search-results").inner_text().lower()


def test_nothing_is_cut_in_print(site, open_page):
    address, *_ = site
    page = open_page(f"{address}notebooks/04_sine_simulation.html", viewport={"width": 720, "height": 1000})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    cut = "[...document.querySelectorAll('.bd-article pre')].filter((p) => p.scrollWidth > p.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
    assert not page.locator("audio").first.is_visible()


def test_the_glossary_has_both_languages(site, open_page):
    address, *_ = site
    page = open_page(f"{address}glossary.html")
    assert page.locator("th", has_text="français").count() == 1
    assert page.locator("tbody tr").count() > 25


def test_the_site_needs_no_server(site, open_page):
    _, directory, _ = site
    page = open_page((directory / "notebooks" / f"{CHAPTERS[2]}.html").as_uri())
    page.evaluate(USABLE)
    assert page.locator(".math mjx-container").count() > 0
