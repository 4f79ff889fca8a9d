"""Tables of players: sounds with one gain in common, published as MP3."""

import html
import io
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
import soundfile
from numpy.typing import ArrayLike

from nmflib._check import Array
from nmflib.course.audio import checked_samples
from nmflib.course.figures import check_name, display_bundle, published
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
    scaled, slugs, box, rows, plain = common_gain(sounds), _slugs(sounds), None, "", []
    for label, sound in scaled.items():
        file = f"audio/{name}_{slugs[label]}.mp3"
        path = published(file)
        if path:
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, sound.T, sample_rate, format="MP3")
        length = f"{sound.shape[1] / sample_rate:.1f} s"
        amplitudes = np.abs(sound).max(), np.sqrt(np.mean(sound**2))
        peak, rms = 20 * np.log10(np.maximum(amplitudes, 1e-9))
        levels = f"peak {peak:.0f} dBFS, RMS {rms:.0f} dBFS".replace("-", "−") if rms > _SILENT else "silent"
        rows += (  # the link is in the cell of the player, so that it is not empty where players are not shown
            f'<tr><th scope="row">{html.escape(label)}</th>'
            f'<td><audio controls preload="none" src="../figures/{file}"></audio> '
            f'<a href="{_address()}/{file}">MP3</a></td><td>{length}</td><td>{levels}</td></tr>'
        )
        plain.append(f"{label}: {length}, {levels}")
    if not published(""):
        box = players({label: (sound, sample_rate) for label, sound in scaled.items()})
    heads = "<th>sound</th><th>listen</th><th>length</th><th>level</th>"
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    display_bundle({"text/html": table, "text/plain": "\n".join(plain)}, box)


def common_gain(sounds: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """The sounds as (n_channels, n_samples), scaled together so that the loudest peaks at -1 dBFS; silence stays."""
    checked = {label: np.atleast_2d(checked_samples(x, f"sounds[{label!r}]")) for label, x in sounds.items()}
    if not checked:
        raise ValueError("sounds is empty; it needs at least one {label: array}")
    for label, sound in checked.items():
        if len(sound) > 2:
            raise ValueError(f"sounds[{label!r}] has {len(sound)} channels; it needs one or two channels")
    peak = max(float(np.abs(sound).max()) for sound in checked.values())
    return {label: sound / peak * _HEADROOM if peak else sound for label, sound in checked.items()}


def players(sounds: Mapping[str, tuple[Array, int]]) -> Any:
    """A box of labelled audio widgets for {label: ((n_channels, n_samples), sample_rate)}, already scaled."""
    box = widgets.VBox()
    exchange(box, {label: wav(sound, sample_rate) for label, (sound, sample_rate) in sounds.items()})
    return box


def exchange(box: Any, files: Mapping[str, bytes]) -> None:
    """Give the players of `box` other WAV files; the players stay if the labels stay."""
    if [row.children[0].value for row in box.children] == list(files):
        for row, file in zip(box.children, files.values(), strict=True):
            row.children[1].value = file
        return
    rows = []
    for label, file in files.items():
        player = widgets.Audio(value=file, format="wav", autoplay=False, loop=False, layout={"height": "40px"})
        name = widgets.Label(label, layout={"min_width": "12em"})
        rows.append(widgets.HBox([name, player], layout={"align_items": "center"}))
    box.children = rows


def wav(sound: Array, sample_rate: int) -> bytes:
    """A sound (n_channels, n_samples) as the bytes of a WAV file of 16 bits."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound.T, sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _address() -> str:
    """The address of figures/ in the repository that pyproject.toml names; if it names none, the relative path."""
    settings = collection() / "pyproject.toml"
    said = tomllib.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    address = said.get("tool", {}).get("nmflib", {}).get("repository", "").rstrip("/")
    return f"{address}/raw/main/figures" if address else "../figures"


def _slugs(labels: Iterable[str]) -> dict[str, str]:
    """A file name of a-z, 0-9 and _ for each label; where these letters do not tell labels apart, also its number."""
    latin = {}
    for label in labels:
        ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
        latin[label] = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:80]
    count = Counter(latin.values())
    return {
        label: slug if slug and count[slug] == 1 else f"{slug}_{number}".strip("_")
        for number, (label, slug) in enumerate(latin.items(), start=1)
    }
