"""What `explore` shows, driven as a hand would drive it, and judged by what the page then shows."""

import base64
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

STEADY_SECONDS = 0.8
NARROWEST = 60  # pixels of a slider that a hand can still drag
LIMIT_SECONDS = 120  # on a busy machine
SETTLED = """async (box, [old, steady, limit]) => {
    const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
    const state = () => {
        const indicator = document.querySelector(".jp-Notebook-ExecutionIndicator");
        const image = box.querySelector(":scope > img");
        return {
            idle: !indicator || indicator.dataset.status === "idle",
            image: image.style.display === "none" ? "" : image.src,
            text: box.querySelector(":scope > img + .widget-html .widget-html-content").innerText.trim(),
            players: [...box.querySelectorAll("audio")].map(player => player.src),
        };
    };
    const start = performance.now();
    let now = state(), since = start, steadily = false;
    while (!steadily && performance.now() - start < 1000 * limit) {
        await pause(100);
        const next = state(), same = JSON.stringify(next) === JSON.stringify(now);
        if (!same || !next.idle || next.image === old.image && next.text === old.text) since = performance.now();
        now = next;
        steadily = performance.now() - since >= 1000 * steady;
    }
    const digest = async address => {
        const bytes = await (await fetch(address)).arrayBuffer();
        return [...new Uint8Array(await crypto.subtle.digest("SHA-1", bytes))].join(" ");
    };
    now.picture = now.image && await digest(now.image);
    now.sounds = await Promise.all(now.players.map(digest));
    return {...now, late: !steadily};
}"""
PLAY = """async player => {
    player.preload = "auto";
    await player.play();
    const start = performance.now();
    while (player.currentTime < 0.05 && performance.now() - start < 20000) await new Promise(r => setTimeout(r, 50));
    player.pause();
    const bytes = await (await fetch(player.currentSrc)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes);
    const peak = sound.getChannelData(0).reduce((peak, value) => Math.max(peak, Math.abs(value)), 0);
    return {played: player.currentTime, seconds: player.duration, peak};
}"""


REFUSED = "⚠ This setting cannot be drawn: "


@dataclass(frozen=True)
class Shown:
    """What a box shows: digests of its picture ("" if hidden) and of its sounds, and its text."""

    picture: str
    text: str
    sounds: tuple
    image: str = field(compare=False)  # the picture's address, new with each update


class Control:
    """One control of a box. `kind` is slider, dropdown or buttons."""

    def __init__(self, row):
        self.row, self.handle, self.readout = row, row.locator(".noUi-handle"), row.locator(".widget-readout")
        classes = row.get_attribute("class").split()
        kinds = {"widget-slider": "slider", "widget-dropdown": "dropdown", "widget-toggle-buttons": "buttons"}
        self.kind = next((kind for name, kind in kinds.items() if name in classes), None)
        assert self.kind, f"no test knows how to move a control of the classes {classes}"
        self.name = row.locator(".widget-label").first.inner_text()

    def reading(self):
        """The value as the control itself prints it."""
        if self.kind == "dropdown":
            return self.row.locator("select").input_value()
        chosen = self.row.locator("button.mod-active") if self.kind == "buttons" else self.readout
        return chosen.inner_text().strip()

    def ways(self, every):
        """The functions that move it away from its value: the first of them, or every one."""
        if self.kind in ("dropdown", "buttons"):
            return [self.choose_next if self.kind == "dropdown" else self.click_next]
        return [self.press_arrow, self.drag] if every else [self.press_arrow]

    def position(self):
        now, lowest, highest = (float(self.handle.get_attribute(f"aria-value{end}")) for end in ("now", "min", "max"))
        return now, lowest, highest

    def press_arrow(self):
        now, _, highest = self.position()
        self.handle.press("ArrowRight" if now < highest else "ArrowLeft")

    def drag(self):
        now, lowest, highest = self.position()
        track, handle = self.row.locator(".noUi-base"), self.handle
        handle.scroll_into_view_if_needed()
        box, mouse = handle.bounding_box(), self.row.page.mouse
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        share = min(0.5, max(0.15, 1.05 / (highest - lowest))) * (1 if now - lowest < highest - now else -1)
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + share * track.bounding_box()["width"], y + 4, steps=6)
        mouse.up()

    def choose_next(self):
        select = self.row.locator("select")
        chosen, options = select.evaluate("select => [select.selectedIndex, select.options.length]")
        select.select_option(index=(chosen + 1) % options)

    def click_next(self):
        buttons = self.row.locator("button")
        names = [name.strip() for name in buttons.all_inner_texts()]
        buttons.nth((names.index(self.reading()) + 1) % len(names)).click()


class Box:
    """Controls, a picture, a text and players, as `explore` puts them on a page."""

    def __init__(self, box):
        self.box = box

    @classmethod
    def all(cls, page):
        boxes = page.locator(".nmflib-explore")
        return [cls(boxes.nth(i)) for i in range(boxes.count())]

    def controls(self):
        """The controls without the buttons below them."""
        rows = self.box.locator(".nmflib-controls > *:not(.nmflib-presets)")
        return [Control(rows.nth(i)) for i in range(rows.count())]

    def press(self, name, old):
        """What is shown after a press on a preset or on Reset."""
        self.box.locator(".nmflib-presets").get_by_role("button", name=name, exact=True).click()
        return self.settled(old)

    def is_sharp(self):
        """Whether the picture is shown no wider than half of its pixels."""
        shown, pixels = self.box.locator("xpath=./img").evaluate("image => [image.offsetWidth, image.naturalWidth]")
        return 100 < shown <= pixels / 2

    def settled(self, old=None):
        """What is shown once the kernel is idle and nothing changes for 0.8 s: something newer than `old`."""
        before = {"image": old.image, "text": old.text} if old else {}
        now = self.box.evaluate(SETTLED, [before, STEADY_SECONDS, LIMIT_SECONDS])
        assert not now["late"], f"nothing new within {LIMIT_SECONDS} s after {old}: {now}"
        return Shown(now["picture"], now["text"], tuple(now["sounds"]), now["image"])

    def try_every_control(self, tried):
        """Move each control, then press Reset; all ways of moving a kind are used unless the set `tried` has it."""
        first = now = self.settled()
        heard, controls = {first.sounds}, self.controls()
        assert controls, "a picture has no control above it"
        for control in controls:
            reading = control.reading()
            if control.kind == "slider":
                width = control.row.locator(".noUi-base").bounding_box()["width"]
                assert width >= NARROWEST, f"the slider of {control.name} is {width:.0f} pixels wide"
            for move in control.ways(every=control.kind not in tried):
                now = self.moved(control, move, now)
                heard.add(now.sounds)
            if control.reading() == reading:  # the last move was back already, and Reset would do nothing
                now = self.moved(control, control.press_arrow, now)
            now = self.press("Reset", now)
            assert now == first, f"{control.name} is {reading} again, but {first.text} is now {now.text}"
            tried.add(control.kind)
        assert first.sounds == () or len(heard) > 1, "every setting gives the same sounds"
        assert self.is_sharp()
        return first

    def moved(self, control, move, old):
        """What is shown after `move`; the control's value and the picture must be new."""
        reading = control.reading()
        move()
        now = self.settled(old)
        what = f"{move.__name__} on {control.name}: {reading} -> {control.reading()}, {old.text} -> {now.text}"
        assert control.reading() != reading, what
        if now.text.startswith(REFUSED):  # the setting is answered with a sentence instead of a picture
            assert now.picture == "", what
            return now
        assert now.picture not in ("", old.picture), f"the same picture after {what}"
        assert bool(now.text) == bool(old.text), f"a text came or went: {what}"
        return now


def play(player):
    """Play 0.05 s of an audio element: it has a length and is not silent."""
    heard = player.evaluate(PLAY)
    assert heard["played"] > 0, heard
    assert heard["seconds"] > 0.1, heard
    assert heard["peak"] > 0.001, heard


class Panel:
    """The panel of `separate_upload`: a file, settings, a button, the sentence that answers, a picture and players."""

    def __init__(self, page):
        self.page, self.panel = page, page.locator(".separate-upload")
        self.message, self.result = self.panel.locator(".nmflib-message"), self.panel.locator(".nmflib-result")
        self.picture = self.panel.locator("img.widget-image")
        self.players = self.panel.locator("audio")

    def answer(self, name, content):
        """The sentence that answers a file."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            with self.page.expect_file_chooser() as chooser:
                self.panel.locator(".widget-upload, .jupyter-button:has-text('Stereo file')").first.click()
            chooser.value.set_files(file)
            self.message.filter(has_text=name).wait_for(timeout=1000 * LIMIT_SECONDS)
        return self.message.inner_text().strip()

    def separate(self, name):
        """The text once the file `name` is separated; until then the bar moves and the old result is dim."""
        bar, seen = self.panel.locator(".progress-bar"), []
        assert self.opacity() < 1
        self.panel.locator("button:has-text('Separate')").click()
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.opacity() < 1 and time.monotonic() < deadline:
            width = bar.bounding_box()["width"] if bar.is_visible() else 0
            if width and self.opacity() < 1:  # else the bar has gone back to 0 in the meantime
                seen.append(width)
            time.sleep(0.3)
        assert name in self.result.inner_text()
        assert seen == sorted(seen) and len(set(seen)) > 2, f"the bar does not move on: {seen}"
        self.picture.wait_for()
        return self.result.locator(".widget-html").first.inner_text().strip()

    def opacity(self):
        return float(self.result.evaluate("result => getComputedStyle(result).opacity"))

    def downloads(self):
        """The files behind the links: the recording, then the outputs, as bytes."""
        links = self.panel.locator("a[download]").all()
        return [base64.b64decode(link.get_attribute("href").partition("base64,")[2]) for link in links]
