"""Pictures that a notebook shows and publishes, with a sentence beneath them, and film strips.

`make run` names a directory in the environment variable NMFLIB_FIGURES, to which `show`, `film_strip`, `listen` and
`verdict` write. Without it they write nothing, so that re-running a notebook leaves all files as they are.
"""

import base64
import html
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

SHARP = 56_000  # bytes of a picture, so that a chapter with ten of them stays under 1 MB
_STRIP_WIDTH, _GAP = 900, 12  # pixels of a film strip, and between its frames


def show(figure: Figure, name: str, alt: str) -> None:
    """Show a figure as PNG with its alternative text in italics beneath it, and close it.

    name : begins with the chapter's number, such as "04_masks"; published as figures/{name}.png
    alt : one sentence that describes the picture
    """
    width, height = (round(100 * side) for side in figure.get_size_inches())
    for dpi in (200, 150, 100):  # twice the natural resolution, or less if the picture would exceed SHARP bytes
        picture = compact(png(figure, dpi))
        if len(picture) <= SHARP:
            break
    _publish(picture, name, alt, width=width, height=height)


def film_strip(draw: Callable[..., Any], name: str, alt: str, **values: Any) -> None:
    """Show the figures of `draw` for a few values of its controls as one picture, which needs no live kernel.

    draw : as for `explore`; called once per frame
    name, alt : as for `show`
    values : a sequence for each keyword that varies (all of one length, taken together), a scalar for the others

    The metadata of the output give the place of each frame in the picture, so that the site can show one at a time.
    """
    lengths = {key: len(value) for key, value in values.items() if isinstance(value, list | tuple | range | np.ndarray)}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        found = ", ".join(f"{key} has {length}" for key, length in lengths.items()) or "no keyword varies"
        raise ValueError(f"values: {found}; at least one must be a sequence, and all sequences of one length above 0")
    n_frames = max(lengths.values())
    pictures, captions = [], []
    frames: list[dict[str, Any]] = []
    for i in range(n_frames):
        varying = {key: values[key][i] for key in lengths}
        with closing_figures():
            figure, text, _ = drawn(draw(**values | varying))
            natural = figure.get_size_inches()[0] * 100
            columns = max(1, min(n_frames, int((_STRIP_WIDTH + _GAP) // (0.6 * natural + _GAP))))  # at least 60 % wide
            columns = math.ceil(n_frames / math.ceil(n_frames / columns))  # rows of about one length
            width = (_STRIP_WIDTH - (columns - 1) * _GAP) / columns
            pictures.append(png(figure, dpi=min(100.0, 100 * width / natural)))
        values_shown = {key: shown(value) for key, value in varying.items()}
        setting = ", ".join(f"{key} = {value}" for key, value in values_shown.items())
        captions.append(f"{setting}: {text}" if text else setting)
        frames.append({"values": values_shown, "text": text})
    strip, boxes = _join(pictures, captions, columns)
    for frame, box in zip(frames, boxes, strict=True):
        frame["box"] = box
    _publish(strip, name, alt, captions, frames=frames)


def png(figure: Figure, dpi: float = 100) -> bytes:
    """The figure as PNG bytes, the same for the same drawing; the figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def compact(picture: bytes, shrink: int = 1) -> bytes:
    """The PNG with a palette of 256 colours, which takes half the bytes and shows no bands.

    shrink : so many pixels of a row or a column become one
    """
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB").reduce(shrink)
    small.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


@contextmanager
def closing_figures() -> Iterator[None]:
    """Close the figures of this block, even if it fails: an open figure would be shown under another cell."""
    before = set(plt.get_fignums())
    try:
        yield
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def drawn(result: Any) -> tuple[Figure, str, dict[str, tuple[ArrayLike, int]]]:
    """The result of a draw function, completed to (figure, text, sounds)."""
    parts = result if isinstance(result, tuple) else (result,)
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], Figure):
        raise ValueError(f"draw returned {result!r}; it must return figure, (figure, text) or (figure, text, sounds)")
    return parts[0], str(parts[1]) if len(parts) > 1 else "", dict(parts[2]) if len(parts) > 2 else {}


def display_picture(picture: bytes, alt: str, text: str, box: Any = None, **metadata: Any) -> None:
    """Display a PNG, and its alternative text in italics beneath it.

    text : for programs that show no pictures; box : a widget, shown instead where there is a kernel
    """
    data = {"image/png": base64.b64encode(picture).decode(), "text/plain": text}
    display_bundle(data, box, {"image/png": {"alt": alt, **metadata}})
    display_bundle({"text/html": f"<p><em>{html.escape(alt)}</em></p>", "text/plain": alt})


def display_bundle(data: Mapping[str, Any], box: Any = None, metadata: Mapping[str, Any] | None = None) -> None:
    """Display one output given as {MIME type: content}; a widget `box` is shown instead where there is a kernel."""
    from IPython.display import display

    if box is not None:
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        data = {**data, "application/vnd.jupyter.widget-view+json": view}
    display(dict(data), metadata=dict(metadata or {}), raw=True)


def _publish(picture: bytes, name: str, alt: str, captions: Sequence[str] = (), **metadata: Any) -> None:
    check_name(name)
    if not alt.strip():
        raise ValueError(f"alt of {name} is empty; it needs a sentence that describes the picture")
    file = published(f"{name}.png")
    if file:
        file.write_bytes(picture)
    display_picture(picture, alt, "\n".join([f"figures/{name}.png", *captions]), **metadata)


def _join(pictures: Sequence[bytes], captions: Sequence[str], columns: int) -> tuple[bytes, list[list[int]]]:
    """The frames in rows, each above its caption, as one PNG; and left, top, width, height of each in pixels."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 14)
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    width = max(image.width for image in images)
    lines = [_wrap(caption, lambda text: font.getlength(text) <= width - 8) for caption in captions]
    heights = [image.height + 20 * len(said) + _GAP for image, said in zip(images, lines, strict=True)]
    tops = [0, *accumulate(max(heights[i : i + columns]) for i in range(0, len(images), columns))]
    strip = Image.new("RGB", (columns * width + (columns - 1) * _GAP, tops[-1]), "white")
    pen, boxes = ImageDraw.Draw(strip), []
    for i, image in enumerate(images):
        left, top = i % columns * (width + _GAP), tops[i // columns]
        strip.paste(image, (left, top))
        boxes.append([left, top, image.width, image.height])
        for number, line in enumerate(lines[i]):
            pen.text((left + 4, top + image.height + 20 * number), line, fill="black", font=font)
    buffer = io.BytesIO()
    strip.save(buffer, format="png")
    return compact(buffer.getvalue()), boxes


def _wrap(text: str, fits: Callable[[str], bool]) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            if line and not fits(f"{line} {word}"):
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        lines.append(line)
    return lines


def published(file: str) -> Path | None:
    """Where this file of figures/ is to be written, or None if nothing is published."""
    directory = os.environ.get("NMFLIB_FIGURES")
    return Path(directory, file) if directory else None


def check_name(name: str) -> None:
    if not re.fullmatch(r"\d\d_[a-z0-9_]+", name):
        raise ValueError(f"name is {name!r}; it needs two digits, _ and small letters, such as '04_masks'")


def shown(value: Any, digits: int = 3) -> str:
    """A number in few significant digits, other values as they are.

    >>> [shown(number) for number in (0.123456, 30.26, -17161, 12345.6, 2.5e-5, "hann")]
    ['0.123', '30.3', '-17161', '12300', '2.5e-5', 'hann']
    """
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if math.isfinite(number) and number == round(number) and abs(number) < 1e6:
        return str(round(number))
    rounded = float(f"{number:.{digits}g}")
    return f"{rounded:.0f}" if 1000 <= abs(rounded) < 1e6 else f"{rounded:g}".replace("e-0", "e-")
