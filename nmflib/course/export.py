"""A figure of `explore` for pages without a kernel: every picture, text and sound of a grid of values, as files."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from nmflib.course.figures import shown

Rendered = tuple[bytes, str, dict[str, bytes]]  # PNG, text, {label: WAV}


def write_grid(
    folder: Path,
    render: Callable[[dict[str, Any]], Rendered],
    presets: Mapping[str, Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]],
    controls: Mapping[str, Any],
) -> None:
    """Write `render` of every combination of values: pictures as WebP, sounds as MP3, and grid.json.

    grid : {control: values}; a control that is not in it takes all of its own values
    controls : ipywidgets, by name

    grid.json has "controls" [{name, label, values, start}], values as they are shown and start an index;
    "presets" {label: {name: index}}; and "frames" in the order of `itertools.product` of the values, each
    {"text"} and, where it can be drawn, {"picture", "size": [width, height], "sounds": {label: file}}.
    """
    unknown = [name for name in grid if name not in controls]
    if unknown:
        raise ValueError(f"grid names {', '.join(unknown)}; the controls are {', '.join(controls)}")
    choices = {name: _choices(control, grid.get(name)) for name, control in controls.items()}
    places = {name: {"Reset": control.value} for name, control in controls.items()}
    for label, values in presets.items():
        for name, value in values.items():
            places[name][label] = value
    found = {name: {label: _place(name, choices[name], value) for label, value in asked.items()}
             for name, asked in places.items()}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for combination in product(*choices.values()):
        values = {name: value for name, (_, value) in zip(choices, combination, strict=True)}
        try:
            frames.append(_write_frame(folder, *render(values)))
        except ValueError as error:
            frames.append({"text": f"⚠ This setting cannot be drawn: {error}"})
    facts = {
        "controls": [
            {"name": name, "label": control.description or name, "values": [label for label, _ in choices[name]],
             "start": found[name]["Reset"]}
            for name, control in controls.items()
        ],
        "presets": {label: {name: found[name][label] for name in values} for label, values in presets.items()},
        "frames": frames,
    }  # fmt: skip
    (folder / "grid.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def _choices(control: Any, wanted: Sequence[Any] | None) -> list[tuple[str, Any]]:
    """What a control can be set to, or of that what is wanted: [(as it is shown, value), …]."""
    if hasattr(control, "options"):
        options = control.options.items() if isinstance(control.options, Mapping) else control.options
        pairs = [option if isinstance(option, tuple) else (shown(option), option) for option in options]
        return [(label, value) for label, value in pairs if wanted is None or value in wanted]
    if wanted is None:
        steps = round((control.max - control.min) / control.step)
        wanted = [type(control.value)(round(control.min + k * control.step, 9)) for k in range(steps + 1)]
    return [(shown(value), value) for value in wanted]


def _place(name: str, choices: Sequence[tuple[str, Any]], value: Any) -> int:
    for place, (_, choice) in enumerate(choices):
        if choice == value:
            return place
    raise ValueError(f"grid[{name!r}] lacks {value!r}, which a preset or the control itself starts with")


def _write_frame(folder: Path, picture: bytes, text: str, sounds: Mapping[str, bytes]) -> dict[str, Any]:
    size = [int.from_bytes(picture[at : at + 4], "big") // 2 for at in (16, 20)]
    files = {label: _write(folder, sound, ".mp3", _mp3) for label, sound in sounds.items()}
    return {"text": text, "picture": _write(folder, picture, ".webp", _webp), "size": size, "sounds": files}


def _write(folder: Path, content: bytes, ending: str, coded: Callable[[bytes], bytes]) -> str:
    """The name of the file that holds the coded content; what is there already is not coded again."""
    file = folder / (hashlib.sha256(content).hexdigest()[:12] + ending)
    if not file.exists():
        file.write_bytes(coded(content))
    return file.name


def _webp(picture: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(buffer, format="webp", quality=65)
    return buffer.getvalue()


def _mp3(sound: bytes) -> bytes:
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(sound), always_2d=True)
    buffer = io.BytesIO()
    settings = {"bitrate_mode": "VARIABLE", "compression_level": 0.9}
    soundfile.write(buffer, samples.mean(axis=1), rate, format="MP3", **settings)
    return buffer.getvalue()
