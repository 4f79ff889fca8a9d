"""The figure types of the course. A source, or a method, has the same colour in all figures."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from nmflib._check import Array
from nmflib.stft import STFT

# Okabe & Ito's colours, which colour-blind readers can distinguish.
SOURCE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MIXTURE = "#444444"
ERROR = "#A3195B"
NAMED = {
    "mixture": MIXTURE, "error": ERROR,
    "speech": SOURCE[0], "music": SOURCE[1],
    "guitar": SOURCE[0], "synthesizer": SOURCE[1],
    "left hand": SOURCE[0], "right hand": SOURCE[1],
    "EM": SOURCE[2], "MU": SOURCE[3], "ILRMA": "#4D4D4D", "AuxIVA": SOURCE[5], "FastMNMF": SOURCE[4],
}  # fmt: skip
CMAP = "magma"


def style() -> None:
    """Matplotlib settings of the collection: sizes that stay legible at the width of a GitHub page."""
    plt.rcParams.update(
        {
            "figure.figsize": (8.5, 3.2), "figure.dpi": 100, "savefig.dpi": 100, "font.size": 10, "axes.titlesize": 10,
            "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": cycler(color=SOURCE),
            "image.cmap": CMAP, "legend.frameon": False, "lines.linewidth": 1.5, "figure.constrained_layout.use": True,
        }
    )  # fmt: skip


def colour(source: int | str) -> str:
    """The colour of a source: by number from 0, or by name ("speech", "music", "mixture", "error", …); or of a method.

    >>> colour(0) == colour("speech")
    True
    """
    if isinstance(source, str):
        if source not in NAMED:
            raise ValueError(f"source is {source!r}; named colours are {', '.join(NAMED)}")
        return NAMED[source]
    return SOURCE[source % len(SOURCE)]


def spectrogram(
    ax: Axes,
    X: Array,
    stft: STFT,
    sample_rate: float,
    *,
    title: str = "",
    reference: float | None = None,
    range_db: float = 70,
    max_hz: float | None = None,
    colorbar: bool = True,
) -> AxesImage:
    """|X| in dB below `reference` (an amplitude; default: the largest |X|).

    X : (n_freq, n_frames) STFT or magnitude. Give several panels the same reference to make them comparable.
    """
    modulus = np.abs(X)
    reference = reference or float(modulus.max()) or 1.0
    level = 20 * np.log10(np.maximum(modulus / reference, 10 ** (-range_db / 20)))
    half, (unit, label) = sample_rate / stft.n_fft / 2, _hertz(max_hz or sample_rate / 2)
    extent = (0.0, modulus.shape[1] * stft.hop / sample_rate, -half / unit, (sample_rate / 2 + half) / unit)
    image = ax.imshow(
        level, origin="lower", aspect="auto", extent=extent, vmin=-range_db, vmax=0, interpolation="nearest", cmap=CMAP
    )
    ax.set(title=title, xlabel="time (s)", ylabel=label, ylim=(0, (max_hz or sample_rate / 2) / unit))
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="dB", pad=0.02)
    return image


def factorization(
    V: Array,
    W: Array,
    H: Array,
    stft: STFT | None = None,
    sample_rate: float = 1.0,
    *,
    names: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    max_hz: float | None = None,
    range_db: float = 60,
) -> Figure:
    """V ≈ WH as one picture: the columns of W on the left, V in the centre, the rows of H above it.

    V : (n_freq, n_frames), W : (n_freq, n_components), H : (n_components, n_frames). Columns of W are scaled to peak 1,
    rows of H take the factor, and all rows have one scale. With an `stft`, V is a magnitude spectrogram in dB on axes
    in hertz and seconds; without one, the matrices have cells of one size, and those of V show its numbers.
    """
    n_components = len(H)
    peak = np.maximum(W.max(axis=0), np.finfo(float).tiny)
    W, H = W / peak, H * peak[:, np.newaxis]
    names = names or [f"k = {k + 1}" for k in range(n_components)]
    colours = colours or [colour(k) for k in range(n_components)]
    if stft is None:
        return _three_matrices(V, W, H, names)
    figure = plt.figure(figsize=(8.5, 2.9 + 0.33 * n_components))
    widths, heights = (1 + 0.35 * n_components, 8), (0.33 * n_components, 2.4)
    axes = figure.subplots(2, 2, width_ratios=widths, height_ratios=heights, sharex="col", sharey="row")
    (corner, above), (left, centre) = axes
    corner.set_axis_off()
    spectrogram(centre, V, stft, sample_rate, range_db=range_db, max_hz=max_hz, colorbar=False)
    frequencies = stft.frequencies(sample_rate) / _hertz(max_hz or sample_rate / 2)[0]
    times, loudest = stft.times(H.shape[1], sample_rate), max(H.max(), np.finfo(float).tiny)
    for k, hue in enumerate(colours[:n_components]):
        row = n_components - 1 - k  # the first row on top
        left.fill_betweenx(frequencies, k, k + 0.9 * W[:, k], color=hue, linewidth=0.8)
        above.fill_between(times, row, row + 0.9 * H[k] / loudest, color=hue, linewidth=0.8)
    left.set(xticks=np.arange(n_components) + 0.4, xlim=(-0.2, n_components + 0.1), ylabel=centre.get_ylabel())
    left.set_xticklabels(names, rotation=90 if max(map(len, names)) * n_components > 12 else 0)
    above.set(yticks=np.arange(n_components) + 0.4, ylim=(-0.1, n_components), title="rows of H")
    above.set_yticklabels(names[::-1])
    above.tick_params(labelleft=True, labelbottom=False)
    centre.set(ylabel="", title="V, magnitude in dB")
    left.set_title("columns of W")
    return figure


def _three_matrices(V: Array, W: Array, H: Array, names: Sequence[str]) -> Figure:
    """Small matrices with cells of one size: W left of V, H above V; darker is larger, the numbers are those of V."""
    (n_freq, n_frames), n_components = V.shape, len(H)
    cell = min(0.42, 7.0 / (n_components + n_frames + 2))
    size = ((n_components + n_frames + 2.2) * cell, (n_components + n_freq + 2.4) * cell + 0.5)
    figure, axes = plt.subplots(
        2, 2, figsize=size, width_ratios=(n_components, n_frames), height_ratios=(n_components, n_freq)
    )
    corner, above, left, centre = axes.ravel()
    corner.set_axis_off()
    for ax, M, title in ((above, H, "H"), (left, W, "W"), (centre, V, "V")):
        ax.imshow(M, cmap="Greys", vmin=0, vmax=max(1.4 * float(M.max()), 1e-30), aspect="equal")
        ax.set(title=title, xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    above.set_yticks(range(n_components), names)
    left.set_xticks(range(n_components), names, rotation=90)
    for f, n in np.ndindex(V.shape):
        centre.text(n, f, f"{V[f, n]:.3g}", ha="center", va="center", fontsize=min(9, 22 * cell))
    return figure


def _hertz(highest: float) -> tuple[float, str]:
    """Unit in Hz and label of a frequency axis up to `highest` Hz: hertz up to 1 kHz, kilohertz beyond."""
    return (1.0, "frequency (Hz)") if highest <= 1000 else (1e3, "frequency (kHz)")


def source_grid(
    rows: Mapping[str, Sequence[Array]],
    columns: Sequence[str],
    stft: STFT,
    sample_rate: float,
    *,
    max_hz: float | None = None,
) -> Figure:
    """Spectrograms in a grid on one dB scale: a row per source, a column per version of it (e.g. true, estimated).

    rows : label -> one (n_freq, n_frames) STFT per column
    """
    reference = max(float(np.abs(X).max()) for row in rows.values() for X in row) or 1.0
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(8.5, 0.7 + 1.9 * len(rows)), squeeze=False, sharex=True, sharey=True
    )
    for (label, row), line in zip(rows.items(), axes, strict=True):
        for X, column, ax in zip(row, columns, line, strict=True):
            image = spectrogram(
                ax, X, stft, sample_rate, title=f"{label}: {column}", reference=reference, max_hz=max_hz, colorbar=False
            )
            ax.label_outer()
    figure.colorbar(image, ax=axes, label="dB", pad=0.02)
    return figure
