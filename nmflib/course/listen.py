"""Tables of players: sounds with one gain in common, published as MP3."""

from __future__ import annotations

import html
import io
import math
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array
from nmflib.course.audio import checked_samples
from nmflib.course.figures import check_name, display_bundle, publish_directory, widget_view
from nmflib.course.scenes import collection

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_HEADROOM = 10 ** (-1 / 20)  # the loudest sound of a table peaks at -1 dBFS
_SILENT = -90  # dBFS; a sound below it cannot be heard, and the digits of its level would be rounding errors


def listen(sounds: Mapping[str, ArrayLike], sample_rate: int, name: str) -> None:
    """Show a table of players, one per sound, with lengths and levels.

    All sounds of the table have one gain, so that their levels can be compared; the loudest peaks at -1 dBFS.
    They are published as MP3; in a live notebook, the players hold the sounds themselves.

    sounds : {label: (n_samples,) or (n_channels, n_samples)}, one or two channels; labels in any script
    sample_rate : Hz, one of those MP3 knows
    name : begins with the chapter's number; published as figures/audio/{name}_{label}.mp3, in ASCII
    """
    check_name(name)
    if sample_rate not in _MP3_RATES:
        raise ValueError(f"sample_rate is {sample_rate}; MP3 needs one of {', '.join(map(str, _MP3_RATES))}")
    files = {label: f"{name}_{slug}.mp3" for label, slug in _slugs(list(sounds)).items()}
    scaled = common_gain(sounds)
    directory = publish_directory()
    if directory:
        import soundfile

        (directory / "audio").mkdir(exist_ok=True)
        for label, sound in scaled.items():
            soundfile.write(directory / "audio" / files[label], sound.T, sample_rate, format="MP3")
    rows = [(label, files[label], *_length_and_levels(sound, sample_rate)) for label, sound in scaled.items()]
    bundle: dict[str, Any] = {
        "text/html": _sound_table(rows),
        "text/plain": "\n".join(f"{label}: {length}, {levels}" for label, _, length, levels in rows),
    }
    if not directory:
        box = players({label: (sound, sample_rate) for label, sound in scaled.items()})
        bundle["application/vnd.jupyter.widget-view+json"] = widget_view(box)
    display_bundle(bundle)


def common_gain(sounds: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """The sounds as (n_channels, n_samples), scaled together so that the loudest peaks at -1 dBFS; silence stays."""
    checked = {label: _sound(sound, label) for label, sound in sounds.items()}
    if not checked:
        raise ValueError("sounds is empty; it needs at least one {label: array}")
    peak = max(float(np.abs(sound).max()) for sound in checked.values())
    return {label: sound / peak * _HEADROOM if peak else sound for label, sound in checked.items()}


def players(sounds: Mapping[str, tuple[Array, int]]) -> Any:
    """A box of labelled audio widgets for {label: ((n_channels, n_samples), sample_rate)}, already scaled."""
    import ipywidgets as widgets

    box = widgets.VBox()
    exchange(box, {label: wav(sound, sample_rate) for label, (sound, sample_rate) in sounds.items()})
    return box


def exchange(box: Any, files: Mapping[str, bytes]) -> None:
    """Give the players of `box` other WAV files; the players stay if the labels stay."""
    import ipywidgets as widgets

    if [row.children[0].value for row in box.children] == list(files):
        for row, file in zip(box.children, files.values(), strict=True):
            row.children[1].value = file
        return
    rows = []
    for label, file in files.items():
        player = widgets.Audio(value=file, format="wav", autoplay=False, loop=False, layout={"height": "40px"})
        rows.append(
            widgets.HBox([widgets.Label(label, layout={"min_width": "12em"}), player], layout={"align_items": "center"})
        )
    box.children = rows


def wav(sound: Array, sample_rate: int) -> bytes:
    """A sound (n_channels, n_samples) as the bytes of a WAV file of 16 bits."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, sound.T, sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _sound(sound: ArrayLike, label: str) -> Array:
    array = np.atleast_2d(checked_samples(sound, f"sounds[{label!r}]"))
    if array.ndim != 2 or array.shape[0] > 2:
        raise ValueError(
            f"sounds[{label!r}] has shape {np.shape(sound)}; it needs (n_samples,) or (n_channels, n_samples), "
            "one or two channels"
        )
    return array


def _length_and_levels(sound: Array, sample_rate: int) -> tuple[str, str]:
    """For instance ("2.5 s", "peak −1 dBFS, RMS −4 dBFS")."""
    peak, rms = (_decibel(value) for value in (np.abs(sound).max(), np.sqrt(np.mean(sound**2))))
    levels = f"peak {peak:.0f} dBFS, RMS {rms:.0f} dBFS" if rms > _SILENT else "silent"
    return f"{sound.shape[1] / sample_rate:.1f} s", levels.replace("-", "−")


def _decibel(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def _sound_table(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """The link is in the cell of the player, so that this cell is not empty where players are not shown."""
    body = "".join(
        f'<tr><th scope="row">{html.escape(label)}</th>'
        f'<td><audio controls preload="none" src="../figures/audio/{file}"></audio> '
        f'<a href="{_published_at()}/audio/{file}">MP3</a></td><td>{length}</td><td>{levels}</td></tr>'
        for label, file, length, levels in rows
    )
    heads = "".join(f"<th>{head}</th>" for head in ("sound", "listen", "length", "level"))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _published_at() -> str:
    """The address of figures/ in the repository that pyproject.toml names; if it names none, the relative path."""
    settings = collection() / "pyproject.toml"
    if not settings.is_file():
        return "../figures"
    said = tomllib.loads(settings.read_text(encoding="utf-8")).get("tool", {}).get("nmflib", {})
    address = said.get("repository", "").rstrip("/")
    return f"{address}/raw/main/figures" if address else "../figures"


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A file name of a-z, 0-9 and _ for each label; where these letters do not tell labels apart, also its number."""
    latin = {label: _latin(label) for label in labels}
    count = Counter(latin.values())
    return {
        label: slug if slug and count[slug] == 1 else f"{slug}_{number}".strip("_")
        for number, (label, slug) in enumerate(latin.items(), start=1)
    }


def _latin(label: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:80]
