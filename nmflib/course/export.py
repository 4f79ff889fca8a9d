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


def write_grid(
    folder: Path,
    render: Callable[[dict[str, Any]], tuple[bytes, str, dict[str, bytes]]],
    presets: Mapping[str, Mapping[str, Any]],
    grid: Mapping[str, Sequence[Any]],
    controls: Mapping[str, Any],
) -> None:
    """Write `render` (PNG, text, {label: WAV}) of every combination of values: pictures as WebP, sounds as MP3.

    presets : {label: {control: value}}; that called Reset says where the controls start
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
    places = {}
    for label, values in presets.items():
        places[label] = {name: _place(name, choices[name], value) for name, value in values.items()}
    start = places.pop("Reset")
    folder.mkdir(parents=True, exist_ok=True)
    frames: list[dict[str, Any]] = []
    for combination in product(*choices.values()):
        try:
            picture, text, sounds = render({name: value for name, (_, value) in zip(choices, combination, strict=True)})
        except ValueError as error:
            frames.append({"text": f"⚠ This setting cannot be drawn: {error}"})
            continue
        size = [int.from_bytes(picture[at : at + 4], "big") // 2 for at in (16, 20)]
        files = {label: _written(folder, sound, ".mp3", _mp3) for label, sound in sounds.items()}
        frames.append(
            {"text": text, "picture": _written(folder, picture, ".webp", _webp), "size": size, "sounds": files}
        )
    described = []
    for name, control in controls.items():
        values = [label for label, _ in choices[name]]
        described.append({"name": name, "label": control.description or name, "values": values, "start": start[name]})
    facts = {"controls": described, "presets": places, "frames": frames}
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
    values = [choice for _, choice in choices]
    if value not in values:
        raise ValueError(f"grid[{name!r}] lacks {value!r}, which a preset or the control itself starts with")
    return values.index(value)


def _written(folder: Path, content: bytes, ending: str, write: Callable[[io.BytesIO, Path], None]) -> str:
    """The name of the file that holds this content; what is there already is not written again."""
    file = folder / (hashlib.sha256(content).hexdigest()[:12] + ending)
    if not file.exists():
        write(io.BytesIO(content), file)
    return file.name


def _webp(picture: io.BytesIO, file: Path) -> None:
    from PIL import Image

    with Image.open(picture) as image:
        image.convert("RGB").save(file, quality=65)


def _mp3(sound: io.BytesIO, file: Path) -> None:
    import soundfile

    samples, rate = soundfile.read(sound, always_2d=True)
    soundfile.write(file, samples.mean(axis=1), rate, bitrate_mode="VARIABLE", compression_level=0.9)
