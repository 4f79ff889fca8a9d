"""A panel that separates a stereo recording of one's own: upload, method, players, download links."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import numpy as np

from nmflib import ilrma, initialise, mnmf_em
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import plot
from nmflib.course.explore import DPI, live_picture, paragraph, publish, show_picture
from nmflib.course.figures import closing_figures, png
from nmflib.course.listen import common_gain, players
from nmflib.course.scenes import load_stereo
from nmflib.stft import STFT

METHODS = {  # name: when to take it
    "blind": "take this first; for any number of sources, the best of the three in the two experiments above.",
    "blind, then EM": "goes on from there with 8 components per source; it takes longest, and above it added nothing.",
    "ILRMA": "for two sources, matrices and 4 components per source at once; above it stayed behind.",
}
STYLE = """<style>
.separate-upload a[download] { color: var(--jp-content-link-color, #1a5fb4); text-decoration: underline; }
.nmflib-old { opacity: .4; }
</style>"""
EM_ITERATIONS, ILRMA_ITERATIONS = 30, 60


def separate_recording(
    x: Array,
    sample_rate: int,
    n_sources: int = 2,
    method: str = "blind",
    *,
    progress: Callable[[float], object] = lambda share: None,
) -> Array:
    """What two microphones hear of each source, (n_sources, 2, n_samples), knowing only their recording.

    x : (2, n_samples); sample_rate : Hz, sets the window, a quarter of a second (an eighth for three sources or more)
    method : "blind" is `nmflib.blind`; "blind, then EM" goes on with `mnmf_em`, 8 components per source; "ILRMA" is for
        two sources, 4 components each
    progress : called with the share of the work that is done, from 0 to 1

    The outputs sum to x, but for what EM takes for noise.

    >>> x = np.random.default_rng(0).standard_normal((2, 8000))
    >>> separate_recording(x, 4000).shape
    (2, 2, 8000)
    """
    x = np.asarray(x)
    if x.ndim != 2 or len(x) != 2:
        raise ValueError(f"x has shape {x.shape}; it must be (2, n_samples), one row per microphone")
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(map(repr, METHODS))}")
    if method == "ILRMA" and n_sources != 2:
        raise ValueError(f"n_sources is {n_sources}; ILRMA finds as many sources as there are microphones, 2")
    quarter = 2 ** round(np.log2(sample_rate / 4))
    stft = STFT(quarter if n_sources == 2 else quarter // 2)
    X = stft(x)
    if method == "ILRMA":
        images = ilrma(X, 4, n_iter=ILRMA_ITERATIONS, callback=lambda t, _: progress(t / ILRMA_ITERATIONS)).images(X)
    elif method == "blind":
        images = separate_blind(X, n_sources)
    else:
        start = initialise(X, n_sources, 8, "blind")
        model = mnmf_em(
            X, n_sources, 8, noise="diagonal", n_iter=EM_ITERATIONS, init=start,
            callback=lambda t, _: progress(0.5 + 0.5 * t / EM_ITERATIONS),
        )  # fmt: skip
        images = model.images(X)
    progress(1.0)
    return np.asarray(stft.inverse(images, x.shape[1]))


def separate_upload(example: tuple[str, bytes], alt: str) -> None:
    """Show a panel that separates a stereo file of the user's own: players and download links of every output.

    example : (name, bytes) of a stereo file, separated at once: what is shown until there is an upload
    alt : one sentence that says what is to be seen of the example

    Files of any kind are answered with a sentence. What is computed stays in the kernel and in the page.
    """
    publish(*_upload_panel(*example), alt)


def _upload_panel(name: str, content: bytes) -> tuple[Any, bytes, str]:
    """The live panel, and picture and text of the example."""
    import ipywidgets as widgets

    upload = widgets.FileUpload(accept="audio/*,.wav,.flac,.ogg,.mp3,.m4a", multiple=False, description="Stereo file")
    n_sources = widgets.Dropdown(options=[2, 3, 4], description="sources")
    method = widgets.Dropdown(options=list(METHODS), description="method")
    start = widgets.BoundedFloatText(value=0, min=0, max=86400, step=1, description="from second")
    button = widgets.Button(description="Separate", button_style="primary")
    bar = widgets.FloatProgress(value=0, min=0, max=1, layout={"visibility": "hidden"})
    for control in (n_sources, method, start):
        control.style.description_width = "initial"
    which = "<br>".join(f"<b>{html.escape(name)}</b>: {html.escape(why)}" for name, why in METHODS.items())
    message, caption, sounding, image = widgets.HTML(), widgets.HTML(), widgets.VBox(), live_picture()
    message.add_class("nmflib-message")
    result = widgets.VBox([caption, image, sounding])
    result.add_class("nmflib-result")

    def recording() -> tuple[Array, int, str, str]:
        """Samples, sample rate, the sentence about the file, its name."""
        chosen: dict[str, Any] = upload.value[-1] if upload.value else {"name": name, "content": content}
        return *load_stereo(bytes(chosen["content"]), chosen["name"], start=start.value), chosen["name"]

    def say(sentence: str, *, result_is: str) -> None:
        """result_is : "new", "old" (dimmed, of an earlier file or setting) or "none" """
        message.value = paragraph(sentence)
        result.layout.display = "none" if result_is == "none" else ""
        (result.add_class if result_is == "old" else result.remove_class)("nmflib-old")

    def read(_change: Any) -> None:
        try:
            say(f"{recording()[2]} Press “Separate”.", result_is="old")
        except ValueError as error:
            say(f"⚠ {error}", result_is="none")

    def separate() -> tuple[bytes, str]:
        x, rate, what, called = recording()
        say(f"{what} Separating; this takes up to about as long as the sound lasts …", result_is="old")
        with moving(bar, 0.4 * x.shape[1] / rate) as progress:
            images = separate_recording(x, rate, n_sources.value, method.value, progress=progress)
        with closing_figures():
            picture = png(_recording_and_outputs(x, images, rate), dpi=2 * DPI)
        text = "\n".join([what, *_levels(images)])
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
            what = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            say(f"⚠ {what}", result_is="none")
        finally:
            button.disabled, bar.layout.visibility, bar.value = False, "hidden", 0.0

    picture, text = separate()
    bar.value = 0.0
    upload.observe(read, "value")
    start.observe(read, "value")
    button.on_click(separate_or_explain)
    controls = widgets.HBox([upload, n_sources, method, start, button, bar], layout={"flex_flow": "row wrap"})
    panel = widgets.VBox([controls, widgets.HTML(STYLE + which), message, result])
    panel.add_class("separate-upload")
    return panel, picture, text


@contextmanager
def moving(bar: Any, expected: float) -> Iterator[Callable[[float], None]]:
    """Move a progress bar while the block works: as the block reports, and by the clock where it reports less.

    expected : seconds; after them the bar has gone two thirds of the way, which it never ends by itself
    """
    began, ended = monotonic(), Event()
    reported = [0.0]

    def show() -> None:
        bar.value = max(bar.value, reported[0], 1 - np.exp((began - monotonic()) / expected))

    def tick() -> None:
        while not ended.wait(0.25):
            show()

    def report(share: float) -> None:
        reported[0] = share
        show()

    bar.value = 0.0
    clock = Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield report
    finally:
        ended.set()
        clock.join()


def _recording_and_outputs(x: Array, images: Array, sample_rate: int) -> Any:
    """Spectrograms of the left channel, on one scale. x : (2, n_samples), images : (n_sources, 2, n_samples)"""
    import matplotlib.pyplot as plt

    stft = STFT(1024)
    spectra = [np.abs(stft(sound[0])) for sound in (x, *images)]
    titles = ["the recording", *(f"source {j + 1}" for j in range(len(images)))]
    figure, axes = plt.subplots(1, len(spectra), figsize=(8.5, 2.9), sharex=True, sharey=True)
    reference = max(float(spectrum.max()) for spectrum in spectra)
    for ax, spectrum, title in zip(axes, spectra, titles, strict=True):
        drawn_image = plot.spectrogram(
            ax, spectrum, stft, sample_rate, title=title, reference=reference, colorbar=False
        )
        ax.label_outer()
    figure.colorbar(drawn_image, ax=axes, label="dB", pad=0.02)
    return figure


def _levels(images: Array) -> list[str]:
    """Per output: its share of the energy, and where it is louder. images : (n_sources, 2, n_samples)"""
    energy = np.sum(images**2, axis=2)
    total = max(float(energy.sum()), float(np.finfo(float).tiny))
    lines = []
    for j, (left, right) in enumerate(energy, start=1):
        balance = 10 * np.log10(max(left, 1e-12 * total) / max(right, 1e-12 * total))
        side = (
            f"{abs(balance):.1f} dB louder {'left' if balance > 0 else 'right'}"
            if abs(balance) >= 0.05
            else "in the middle"
        )
        lines.append(f"source {j}: {(left + right) / total:.0%} of the energy, {side}")
    return lines


def _rows_with_links(x: Array, images: Array, sample_rate: int, name: str) -> tuple[Any, ...]:
    """A row of name, player and download link for the recording and each output; one gain for all."""
    import ipywidgets as widgets

    sounds = common_gain({"the recording": x, **{f"source {j}": image for j, image in enumerate(images, start=1)}})
    stem = re.sub(r"[^\w.-]+", "_", name.rsplit(".", 1)[0]) or "recording"
    rows = players({label: (sound, sample_rate) for label, sound in sounds.items()}).children
    for label, row in zip(sounds, rows, strict=True):
        file = f"{stem}_{label.replace(' ', '_')}.wav"
        data = base64.b64encode(row.children[1].value).decode()
        link = f'<a download="{html.escape(file)}" href="data:audio/wav;base64,{data}">{html.escape(file)}</a>'
        row.children = (*row.children, widgets.HTML(link))
    return tuple(rows)
