"""Controls, a picture, a text and sounds as one output, which is still a PNG where widgets cannot run."""

import hashlib
import html
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import soundfile
from PIL import Image

from nmflib.course.figures import closing_figures, compact, display_picture, drawn, png, shown
from nmflib.course.listen import common_gain, exchange, wav

DPI = 90  # of a live picture at its natural width; it is drawn with twice as many, so that it is sharp

# `onload`: a player whose sound is exchanged goes on where it was. Media events pass the document on their way down.
_PAGE = """<style onload="if (!window.nmflibPlace) {
    const places = window.nmflibPlace = new WeakMap();
    const on = (names, act) => names.forEach(name => document.addEventListener(name, event => {
        if (event.target.matches && event.target.matches('.nmflib-explore audio')) act(event.target);
    }, true));
    on(['timeupdate', 'play', 'pause', 'seeked'], player => {
        if (player.readyState) places.set(player, [player.currentTime, !player.paused]);
    });
    on(['loadedmetadata'], player => {
        const [time, playing] = places.get(player) || [0, false];
        if (time) player.currentTime = Math.min(time, player.duration);
        if (playing) player.play();
    });
}">
.nmflib-explore { align-items: flex-start; overflow: visible; }
.nmflib-explore > img { height: auto; margin: 2px 8px; transition: opacity .1s; }
.nmflib-controls { min-width: 0; }
.nmflib-controls > .widget-toggle-buttons { flex-flow: row nowrap; }
.nmflib-controls > .widget-toggle-buttons > .widget-label { flex: 0 0 auto; text-align: right; }
.nmflib-text p { font-size: 1.3em; line-height: 1.35; margin: 0 2px; }
.nmflib-status { visibility: hidden; padding: 0 1em; }
.nmflib-busy .nmflib-status { visibility: visible; transition: visibility 0s .1s; }
.nmflib-busy > img, .nmflib-busy > .nmflib-text { opacity: .4; transition: opacity .1s .1s; }
.nmflib-restarted { display: none; color: #b00020; font-weight: 600; }
.jupyter-widgets-disconnected .nmflib-restarted { display: block; }
.nmflib-explore.jupyter-widgets-disconnected::before, .nmflib-explore .jupyter-widgets-disconnected::before {
    content: none; }
.nmflib-explore.jupyter-widgets-disconnected > img { opacity: .4; }
</style><span class="nmflib-status">computing …</span>
<span class="nmflib-restarted">The kernel was restarted: run this cell again, and those above it.</span>"""


def explore(
    draw: Callable[..., Any],
    alt: str,
    /,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    **controls: Any,
) -> None:
    """Show `controls` beside what `draw` gives for their values; draw again when one of them changes.

    draw : called with the values of the controls by name; returns a figure, (figure, text) or (figure, text, sounds),
        where sounds = {label: (samples, sample_rate)}. An error it raises is shown as a sentence.
    alt : one sentence that describes the picture
    presets : {label: {control: value}}, each a button that sets these controls
    grid : {control: values} that the site can be moved to; a control that is not in it keeps all of its values
    controls : ipywidgets, such as n_components=IntSlider(value=4, min=1, max=12); options are a list of values

    When the site is built, the environment variable NMFLIB_GRID names a directory: the grid is written there.
    """
    directory = os.environ.get("NMFLIB_GRID")
    if directory and grid is not None:
        _write_grid(Path(directory), draw, controls, _with_reset(presets or {}, controls), grid)
    else:
        box, picture, text = _build(draw, controls, presets)
        display_picture(compact(picture, shrink=2), alt, f"{alt}\n{text}".strip(), box)


def _build(
    draw: Callable[..., Any], controls: dict[str, Any], presets: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Any, bytes, str]:
    """The live box, and picture and text of the default values."""
    buttons = _with_reset(presets or {}, controls)
    column = _lay_out(controls)
    row = [widgets.Button(description=label, layout={"width": "auto"}) for label in buttons]
    row.append(widgets.HTML(_PAGE))
    below = widgets.Box(row, layout={"flex_flow": "row wrap", "width": "100%"})
    below.add_class("nmflib-presets")
    left = widgets.Box([*controls.values(), below], layout={"flex_flow": "row wrap", "flex": f"1 1 {column}"})
    left.add_class("nmflib-controls")
    image, caption, sounding = live_picture(), widgets.HTML(layout={"width": "100%"}), widgets.VBox()
    caption.add_class("nmflib-text")
    box = widgets.Box([left, image, caption, sounding], layout={"flex_flow": "row wrap"})
    box.add_class("nmflib-explore")
    remembered = lru_cache(maxsize=32)(lambda *values: _render(draw, dict(zip(controls, values, strict=True))))
    moved_by_hand = True  # not by a button, which moves several and draws once

    def update() -> tuple[bytes, str]:
        picture, text, sounds = remembered(*(control.value for control in controls.values()))
        show_picture(image, picture)
        caption.value = paragraph(text)
        exchange(sounding, sounds)
        return picture, text

    def update_or_explain(values: Mapping[str, Any]) -> None:
        nonlocal moved_by_hand
        box.add_class("nmflib-busy")
        try:
            moved_by_hand = False
            for name, value in values.items():
                controls[name].value = value
            update()
        except Exception as error:
            image.layout.display = "none"
            what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            caption.value = paragraph(f"⚠ This setting cannot be drawn: {what}")
            exchange(sounding, {})
        finally:
            moved_by_hand = True
            box.remove_class("nmflib-busy")

    picture, text = update()
    for control in controls.values():
        control.observe(lambda _change: update_or_explain({}) if moved_by_hand else None, "value")
    for button, values in zip(row, buttons.values(), strict=False):
        button.on_click(lambda _button, values=values: update_or_explain(values))
    return box, picture, text


def _with_reset(presets: Mapping[str, Mapping[str, Any]], controls: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The presets, and one called Reset with the values that the controls have now."""
    for label, values in presets.items():
        unknown = [name for name in values if name not in controls]
        if unknown:
            raise ValueError(f"presets[{label!r}] sets {', '.join(unknown)}; the controls are {', '.join(controls)}")
    return {**presets, "Reset": {name: control.value for name, control in controls.items()}}


def _lay_out(controls: Mapping[str, Any]) -> str:
    """Names of one width, sliders of one length that answer when they are let go; returns the width of a column."""
    for name, control in controls.items():
        control.description = control.description or name
    label = f"{max((len(control.description) for control in controls.values()), default=0) + 1}ch"
    for control in controls.values():
        control.style.description_width = label
        control.layout.width, control.layout.max_width = f"calc({label} + 16em)", "100%"
        if control.style.has_trait("button_width"):
            control.style.button_width = "auto"
        if control.has_trait("continuous_update"):
            control.continuous_update = False
    return f"calc({label} + 15em)"


def _render(draw: Callable[..., Any], values: dict[str, Any]) -> tuple[bytes, str, dict[str, bytes]]:
    """PNG, text and sound files of what draw gives."""
    with closing_figures():
        figure, text, sounds = drawn(draw(**values))
        picture = png(figure, dpi=2 * DPI)
    scaled = common_gain({label: sound for label, (sound, _) in sounds.items()}) if sounds else {}
    return picture, text, {label: wav(scaled[label], rate) for label, (_, rate) in sounds.items()}


def live_picture() -> Any:
    """An image widget for `show_picture`."""
    return widgets.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})


def show_picture(image: Any, picture: bytes) -> None:
    """Show a PNG drawn with 2 DPI at half as many pixels as it has: sharp on any screen, never stretched."""
    with image.hold_sync():
        image.value, image.width = picture, str(int.from_bytes(picture[16:20], "big") // 2)
    image.layout.display = ""


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>".replace("\n", "<br>") if text else ""


def _write_grid(
    folder: Path,
    draw: Callable[..., Any],
    controls: Mapping[str, Any],
    presets: Mapping[str, Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]],
) -> None:
    """Write pictures (WebP) and sounds (MP3) for every combination of values, and grid.json, for the site.

    grid.json has "controls" [{name, label, values, start}], values as they are shown and start an index;
    "presets" {label: {name: index}}; and "frames" in the order of `itertools.product` of the values, each
    {"text"} and, where it can be drawn, {"picture", "size": [width, height], "sounds": {label: file}}.
    """
    unknown = [name for name in grid if name not in controls]
    if unknown:
        raise ValueError(f"grid names {', '.join(unknown)}; the controls are {', '.join(controls)}")
    choices = {name: _choices(control, grid.get(name)) for name, control in controls.items()}
    places: dict[str, dict[str, int]] = {label: {} for label in presets}
    for label, preset in presets.items():
        for name, value in preset.items():
            if value not in choices[name]:
                raise ValueError(f"grid[{name!r}] lacks {value!r}, which a preset or the control itself starts with")
            places[label][name] = choices[name].index(value)
    start = places.pop("Reset")
    folder.mkdir(parents=True, exist_ok=True)
    frames: list[dict[str, Any]] = []
    for values in product(*choices.values()):
        try:
            picture, text, sounds = _render(draw, dict(zip(choices, values, strict=True)))
        except ValueError as error:
            frames.append({"text": f"⚠ This setting cannot be drawn: {error}"})
            continue
        size = [int.from_bytes(picture[at : at + 4], "big") // 2 for at in (16, 20)]
        files = {label: _written(folder, sound, ".mp3") for label, sound in sounds.items()}
        frames.append({"text": text, "picture": _written(folder, picture, ".webp"), "size": size, "sounds": files})
    described = []
    for name, control in controls.items():
        labels = [shown(value) for value in choices[name]]
        described.append({"name": name, "label": control.description or name, "values": labels, "start": start[name]})
    facts = {"controls": described, "presets": places, "frames": frames}
    (folder / "grid.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def _choices(control: Any, wanted: Sequence[Any] | None) -> list[Any]:
    """The values that a control can be set to, or of these the ones wanted."""
    if hasattr(control, "options"):
        return [value for value in control.options if wanted is None or value in wanted]
    if wanted is None:
        steps = round((control.max - control.min) / control.step)
        wanted = [type(control.value)(round(control.min + k * control.step, 9)) for k in range(steps + 1)]
    return list(wanted)


def _written(folder: Path, content: bytes, ending: str) -> str:
    """The name of the file that holds this PNG as .webp or this WAV as .mp3; what is there is not written again."""
    file = folder / (hashlib.sha256(content).hexdigest()[:12] + ending)
    if file.exists():
        return file.name
    if ending == ".webp":
        with Image.open(io.BytesIO(content)) as image:
            image.convert("RGB").save(file, quality=65)
    else:
        samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
        soundfile.write(file, samples.mean(axis=1), rate, bitrate_mode="VARIABLE", compression_level=0.9)
    return file.name
