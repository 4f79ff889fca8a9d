"""A panel that separates a stereo recording of one's own: upload, settings, players, download links."""

import base64
import html
import itertools
import re
from functools import partial
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np

from nmflib import separate_recording
from nmflib._check import Array
from nmflib.course import plot
from nmflib.course.explore import DPI, live_picture, paragraph, show_picture
from nmflib.course.figures import closing_figures, compact, display_picture, png
from nmflib.course.listen import common_gain, players
from nmflib.course.scenes import LONGEST, load_stereo
from nmflib.recording import check_memory, mixing_of
from nmflib.stft import STFT

MIXINGS = {"auto": "auto", "room": "convolutive", "panned": "instantaneous"}
WHICH = (
    "Leave the mixing to <b>auto</b>, which decides from the file, unless the result names the wrong one: <b>room</b> "
    "is for microphones, <b>panned</b> for a studio mixture, whose sources differ in level alone from left to right."
)
TAKEN = {"convolutive": "Separated as a recording in a room.", "instantaneous": "Separated as a panned mixture."}
STYLE = """<style>
.separate-upload a[download] { color: var(--jp-content-link-color, #1a5fb4); text-decoration: underline; }
.nmflib-old { opacity: .4; }
</style>"""
WINDOW = 0.064  # seconds, of the spectrograms that are drawn
COLUMNS = 4000  # frames that are drawn of a sound at most

SHORT = 6.0  # s, below which the separation of a room is often wrong: chapter 12, length
WEAK = 20.0  # dB between the channels from which one of them is called nearly silent
ALIKE = 1e-3  # share of the energy in the difference direction below which the channels are called nearly equal
CLIPPED = 1e-4  # share of samples at the largest value
DRY, LIVE = 0.2, 0.26  # s, limits of `fastest_fall`, set on the tuning rooms of experiments.recordings


def separate_upload(example: tuple[str, bytes], alt: str) -> None:
    """Show a panel that separates a stereo file of the user's own: players and download links of every output.

    example : (name, bytes) of a stereo file, which is separated at once and shown until there is an upload
    alt : one sentence that describes the picture of the example
    """
    panel, picture, text = _upload_panel(*example)
    display_picture(compact(picture, shrink=2), alt, f"{alt}\n{text}", panel)


def _upload_panel(name: str, content: bytes) -> tuple[Any, bytes, str]:
    """The live panel, and picture and text of the example."""
    upload = widgets.FileUpload(accept="audio/*,.wav,.flac,.ogg,.mp3,.m4a", multiple=False, description="Stereo file")
    n_sources = widgets.Dropdown(options=[2, 3, 4], description="sources")
    mixing = widgets.Dropdown(options=list(MIXINGS.items()), description="mixing")
    start = widgets.BoundedFloatText(value=0, min=0, max=86400, step=1, description="from second")
    longest = widgets.BoundedFloatText(value=LONGEST, min=1, max=86400, step=1, description="seconds at most")
    button = widgets.Button(description="Separate", button_style="primary")
    bar = widgets.FloatProgress(value=0, min=0, max=1, layout={"visibility": "hidden"})
    for control in (n_sources, mixing, start, longest):
        control.style.description_width = "initial"
    message, caption, sounding, image = widgets.HTML(), widgets.HTML(), widgets.VBox(), live_picture()
    message.add_class("nmflib-message")
    result = widgets.VBox([caption, image, sounding])
    result.add_class("nmflib-result")

    def recording() -> tuple[Array, int, str, str]:
        """Samples, sample rate, the sentence about the file, its name."""
        called, file = (upload.value[-1]["name"], upload.value[-1]["content"]) if upload.value else (name, content)
        x, rate, what = load_stereo(bytes(file), called, start=start.value, max_seconds=longest.value)
        try:
            check_memory(x, rate, n_sources.value)
        except MemoryError as error:
            raise MemoryError(f"{called}: {error}") from None
        return x, rate, what, called

    def say(sentence: str, *, result_is: str) -> None:
        """result_is : "new", "old" (dimmed, of an earlier file or setting) or "none" """
        message.value = paragraph(sentence)
        result.layout.display = "none" if result_is == "none" else ""
        (result.add_class if result_is == "old" else result.remove_class)("nmflib-old")

    def read(_change: Any) -> None:
        try:
            say(f"{recording()[2]} Press “Separate”.", result_is="old")
        except (ValueError, MemoryError) as error:
            say(f"⚠ {error}", result_is="none")

    def separate() -> tuple[bytes, str]:
        x, rate, what, called = recording()
        say(f"{what} Separating; this takes up to about as long as the sound lasts …", result_is="old")
        taken = mixing_of(x, rate) if mixing.value == "auto" else mixing.value
        progress = partial(bar.set_trait, "value")
        images = separate_recording(x, rate, n_sources.value, mixing=taken, progress=progress)
        with closing_figures():
            picture = png(_recording_and_outputs(x, images, rate), dpi=2 * DPI)
        text = "\n".join([f"{what} {TAKEN[taken]}", *_levels(images), *diagnosis(x, rate, taken)])
        show_picture(image, picture)
        caption.value = paragraph(text)
        sounding.children = _rows_with_links(x, images, rate, called)
        say("", result_is="new")
        return picture, text

    def separate_or_explain(_button: Any) -> None:
        button.disabled, bar.layout.visibility = True, "visible"
        try:
            separate()
        except Exception as error:
            kind = "" if isinstance(error, ValueError | MemoryError) else f"{type(error).__name__}: "
            say(f"⚠ {kind}{error}", result_is="none")
        finally:
            button.disabled, bar.layout.visibility, bar.value = False, "hidden", 0.0

    picture, text = separate()
    bar.value = 0.0
    for control in (upload, start, longest):
        control.observe(read, "value")
    button.on_click(separate_or_explain)
    controls = widgets.HBox([upload, n_sources, mixing, start, longest, button, bar], layout={"flex_flow": "row wrap"})
    panel = widgets.VBox([controls, widgets.HTML(STYLE + WHICH), message, result])
    panel.add_class("separate-upload")
    return panel, picture, text


def _recording_and_outputs(x: Array, images: Array, sample_rate: int) -> Any:
    """Spectrograms of the left channel, on one scale. x : (2, n_samples), images : (n_sources, 2, n_samples)"""
    stft = STFT(2 ** round(np.log2(WINDOW * sample_rate)))
    spectra = [_drawn_magnitudes(sound[0], stft) for sound in (x, *images)]
    titles = ["the recording", *(f"source {j + 1}" for j in range(len(images)))]
    figure, axes = plt.subplots(1, len(spectra), figsize=(8.5, 2.9), sharex=True, sharey=True)
    reference = max(float(spectrum.max()) for spectrum in spectra)
    for ax, spectrum, title in zip(axes, spectra, titles, strict=True):
        image = plot.spectrogram(ax, spectrum, stft, sample_rate, title=title, reference=reference, colorbar=False)
        image.set_extent((0, x.shape[1] / sample_rate, *image.get_extent()[2:]))
        ax.label_outer()
    figure.colorbar(image, ax=axes, label="dB", pad=0.02)
    return figure


def _drawn_magnitudes(sound: Array, stft: STFT) -> Array:
    """|STFT| of sound (n_samples,); of a long one, COLUMNS of its frames."""
    if stft.n_frames(len(sound)) <= COLUMNS:
        return np.abs(stft(sound))
    first = np.linspace(0, len(sound) - stft.n_fft, COLUMNS).astype(int)
    return np.abs(np.fft.rfft(sound[first[:, np.newaxis] + np.arange(stft.n_fft)] * stft.w)).T


def _levels(images: Array) -> list[str]:
    """A line per output: its share of the energy, and its louder side. images : (n_sources, 2, n_samples)"""
    energy = np.sum(images**2, axis=2)
    lines = []
    for j, (left, right) in enumerate(np.maximum(energy, 1e-12 * energy.sum()), start=1):
        balance = 10 * np.log10(left / right)
        side = f"{abs(balance):.1f} dB louder {'left' if balance > 0 else 'right'}"
        share = (left + right) / energy.sum()
        lines.append(f"source {j}: {share:.0%} of the energy, {side if abs(balance) >= 0.05 else 'in the middle'}")
    return lines


def diagnosis(x: Array, sample_rate: float, mixing: str) -> list[str]:
    """Sentences that say why this recording is easy or hard to separate. x : (2, n_samples)"""
    said = []
    seconds = x.shape[1] / sample_rate
    left, right = np.var(x, axis=1)
    balance = 10 * np.log10(left / right)
    quiet, loud = np.linalg.eigvalsh(np.cov(x))
    if abs(balance) > WEAK:
        side = "right" if balance > 0 else "left"
        said.append(f"⚠ The {side} channel is {abs(balance):.0f} dB weaker: is its microphone off or covered?")
    elif quiet < ALIKE * loud:
        said.append("⚠ Both channels hold nearly the same: record in stereo, with the sources at different angles.")
    if np.mean(np.abs(x) >= 0.999 * np.abs(x).max()) > CLIPPED:
        said.append("⚠ It seems to be clipped: record at a lower level.")
    if mixing == "instantaneous":
        return said
    if seconds < SHORT:
        said.append(f"⚠ It is short ({seconds:.1f} s): ten seconds in which all sources come and go are safer.")
    fall = fastest_fall(x, sample_rate)
    if fall < DRY:
        said.append(f"It is dry: at its steepest, level falls at a rate of 60 dB in {fall:.2f} s.")
    elif fall > LIVE:
        said.append(
            f"⚠ Even at its steepest, level falls at a rate of 60 dB in {fall:.2f} s: the room is reverberant, or the "
            "sounds themselves ring. In a reverberant room go nearer to the sources."
        )
    return said


def fastest_fall(x: Array, sample_rate: float) -> float:
    """Seconds in which the level of x (2, n_samples) falls by 60 dB where it falls fastest.

    It is taken from slopes over 100 ms of the level in eight bands from 250 Hz to 4 kHz, at levels within 30 dB of the
    loudest: one in a hundred of them is faster. If it is short, neither the walls nor the sounds ring for long.
    """
    stft = STFT(2 ** round(np.log2(0.032 * sample_rate)))
    power = (np.abs(stft(x)) ** 2).sum(axis=0)
    bins = np.searchsorted(stft.frequencies(sample_rate), np.geomspace(250, 4000, 9))
    bands = np.stack([power[low:high].sum(axis=0) for low, high in itertools.pairwise(bins) if high > low])
    level = 10 * np.log10(bands + 1e-9 * bands.mean(axis=1, keepdims=True) + np.finfo(float).tiny)
    frames = min(round(0.1 * sample_rate / stft.hop), level.shape[1])
    time = (np.arange(frames) - (frames - 1) / 2) * stft.hop / sample_rate
    pieces = np.lib.stride_tricks.sliding_window_view(level, frames, axis=1)
    slope = pieces @ time / (time @ time)
    falls = -slope[(slope < 0) & (pieces.max(axis=2) > level.max(axis=1, keepdims=True) - 30)]
    return float(60 / np.percentile(falls, 99)) if falls.size else np.inf


def _rows_with_links(x: Array, images: Array, sample_rate: int, name: str) -> tuple[Any, ...]:
    """A row of name, player and download link for the recording and each output; one gain for all."""
    sounds = common_gain({"the recording": x, **{f"source {j}": image for j, image in enumerate(images, start=1)}})
    stem = re.sub(r"[^\w.-]+", "_", name.rsplit(".", 1)[0]) or "recording"
    rows = players({label: (sound, sample_rate) for label, sound in sounds.items()}).children
    for label, row in zip(sounds, rows, strict=True):
        file = f"{stem}_{label.replace(' ', '_')}.wav"
        data = base64.b64encode(row.children[1].value).decode()
        link = f'<a download="{html.escape(file)}" href="data:audio/wav;base64,{data}">{html.escape(file)}</a>'
        row.children = (*row.children, widgets.HTML(link))
    return tuple(rows)
