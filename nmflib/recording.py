"""From the samples of a recording to the samples of its sources: windows, bands, and pieces of a long recording.

All lengths are in seconds and hertz, so that the result hardly depends on the sample rate.

*Panned* (`learn_panned`): one real matrix for all bins. As many sources as channels: it acts on the samples.

*Rooms* (`learn_room`): the band below RATE / 2, whose windows and bins are the same for all recordings, and then what
is above it (`split`), which takes the activations of the band below (`full_rank.extend`).

1. The start: `separate_determined` for as many sources as channels, else clusters and a first full-rank NMF.
2. The longer a room sounds, the longer the window must be in which one matrix per bin demixes it: a determined start
   with reverberation is demixed again in longer windows, where its own outputs give the order (`demix_again`).
3. Full-rank NMFs, started from the shares of power. The result of one depends on its random values, so the images of
   two or three are averaged.
4. In a dry room (`dryness`) one matrix per bin is enough: the determined start has less error than the NMF there, their
   errors are hardly correlated, and a weighted mean is better than either.

A recording longer than WHOLE is learnt from excerpts spread evenly over it. What was learnt (spectra, covariances,
demixing) is applied to pieces of PIECE seconds, which are cross-faded; the sources are taken not to move.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array, as_real, check_choice
from nmflib._pieces import Progress, available_memory, excerpts, in_pieces, resample, split, window
from nmflib._threads import one_blas_thread
from nmflib.blind import MIXINGS, as_source_count
from nmflib.blind.arrays import TINY, Seed, mixing, project_back, whiten, with_noise_where_singular
from nmflib.blind.determined import aux_iva, separate_determined
from nmflib.blind.full_rank import Model, activations, dryness, extend, full_rank_mnmf, part
from nmflib.blind.panned import COMPONENTS, demix, images_from_variances, is_panned, panned_mixing
from nmflib.blind.underdetermined import cacgmm_masks, delay_masks, most_likely_delays
from nmflib.stft import STFT

RATE = 16000.0  # samples per second at which rooms are learnt, if the recording has more
LOWEST = 7500.0  # Hz, from which the model of the frequencies above reaches
GATE, PANNED = 0.064, 0.128  # seconds: windows to decide whether a recording is panned, and to separate it
DETERMINED, CLUSTERS = 0.256, 0.128  # seconds: windows of the start
LONGER = (0.512, 0.78), (1.024, 0.6)  # seconds: a determined start of less `dryness` is demixed again in this window
SMOOTHED = 15.6  # Hz: the band over which its variances are smoothed
REFINED = 0.512  # seconds: window of the full-rank NMF for two sources; for more, that of DETERMINED
DRY = (0.78, 0.88)  # `dryness` above which some of a determined start stays, and from which KEPT of it does
KEPT = 0.75
MODELS = 2, 3  # full-rank NMFs whose images are averaged, for as many sources as channels and for more
FIRST, UPDATES, EXPONENT = 10, 20, 1.0  # updates of a start's full-rank NMF, of each of them, and their exponent
SHORT = 6  # updates of the activations of a piece
WORKING = 1.2e9  # bytes that a piece and its model need at 48 kHz, two channels and three sources

Separate = Callable[[Array], Array]  # images (J, I, t) of a piece (I, t)


class Learnt(NamedTuple):
    """Full-rank models in the longer window; the images of the start as matrices (J, F, I, I), and their weight.

    The STFTs and models are those of the recording at RATE, but for the last two, of the frequencies above it.
    """

    stft: STFT
    models: list[Model]
    start_stft: STFT
    start: Array | None
    kept: float
    stft_above: STFT
    above: Model | None


def separate_recording(
    x: ArrayLike,
    sample_rate: float,
    n_sources: int = 2,
    *,
    mixing: str = "auto",
    progress: Progress | None = None,
    rng: Seed = 0,
) -> Array:
    """What each channel hears of each source, (n_sources, n_channels, n_samples), knowing only the recording.

    x : (n_channels, n_samples), at least as many sources as channels; the images sum to x
    mixing : "instantaneous" (panned), "convolutive" (rooms, real microphones), or "auto", decided from x
    progress : called now and then with the share of the work that is done, from 0 to 1

    >>> x = np.random.default_rng(0).standard_normal((2, 8000))
    >>> images = separate_recording(x, 8000, mixing="instantaneous")
    >>> images.shape, bool(np.allclose(images.sum(0), x))
    ((2, 2, 8000), True)
    """
    x = as_real(x, "x", ndim=2)
    if not 0 < sample_rate < np.inf:
        raise ValueError(f"sample_rate is {sample_rate!r}; it must be a number of samples per second > 0")
    n_sources = as_source_count(n_sources, len(x))
    check_choice(mixing, "mixing", MIXINGS)
    tell = progress or (lambda share: None)
    tell(0.0)
    largest = float(np.abs(x).max())
    if n_sources == 1 or largest == 0:
        tell(1.0)
        return np.repeat(x[None] / n_sources, n_sources, axis=0)
    check_memory(x, sample_rate, n_sources)
    channels, M = independent(x)
    if len(channels) < len(x):
        images = separate_recording(x[channels], sample_rate, n_sources, mixing=mixing, progress=progress, rng=rng)
        return (M @ images).astype(x.dtype)
    unit = 2.0 ** np.floor(np.log2(largest))
    sample = excerpts(x, sample_rate) / unit
    whole = sample.shape == x.shape
    if mixing == "auto":
        mixing = mixing_of(sample, sample_rate)
    tell(0.02)
    learn = learn_panned if mixing == "instantaneous" else learn_room
    with one_blas_thread():
        share = part(tell, 0.02, 0.95 if whole else 0.4)
        separate = learn(sample, sample_rate, n_sources, whole, share, np.random.default_rng(rng))
        images = in_pieces(
            x, sample_rate, n_sources, lambda piece: unit * separate(piece / unit), part(tell, 0.4, 0.99)
        )
    images += (x - images.sum(0)) / n_sources
    tell(1.0)
    return images


def mixing_of(x: Array, sample_rate: float) -> str:
    """ "instantaneous" or "convolutive": whether a recording (n_channels, n_samples) is a panned mixture."""
    sample = excerpts(np.asarray(x), sample_rate)
    X = STFT(window(GATE, sample_rate))(sample / (np.abs(sample).max() or 1.0))  # the square of 1e-30 would be lost
    return "instantaneous" if is_panned(X) else "convolutive"


def independent(x: Array) -> tuple[Array, Array]:
    """Two channels of x (I, T) or more, (r,), of which all are combinations: x = M x[channels], M (I, r).

    A silent channel, or one that is there twice, says nothing and would make matrices singular.
    """
    if len(x) == 2:
        return np.arange(2), np.eye(2)
    from scipy.linalg import qr

    z = x / np.maximum(np.abs(x).max(1, keepdims=True), np.finfo(x.dtype).tiny)
    C = z.astype(float) @ z.astype(float).T
    R, order = qr(C, mode="r", pivoting=True)
    rank = int((np.abs(np.diagonal(R)) > 1e-10 * np.abs(R[0, 0])).sum())
    if rank == len(x):
        return np.arange(len(x)), np.eye(len(x))
    channels = np.sort(order[: max(rank, 2)])
    M = np.linalg.lstsq(x[channels].T.astype(float), x.T.astype(float))[0].T
    return channels, M


def check_memory(x: Array, sample_rate: float, n_sources: int) -> None:
    """A MemoryError before the work if the images, and what their computation needs, exceed the memory there is."""
    need = (2 * n_sources + 1) * x.nbytes + WORKING * max(sample_rate, RATE) / 48000 * n_sources * len(x) / 6
    there = available_memory()
    if need > there:
        raise MemoryError(
            f"x has {len(x)} channels of {x.shape[1]} samples; {n_sources} sources need {need / 1e9:.1f} GB of memory "
            f"and there are {there / 1e9:.1f}: take a shorter piece of the recording, a lower sample rate, or float32"
        )


def learn_panned(
    x: Array, sample_rate: float, n_sources: int, whole: bool, tell: Progress, rng: np.random.Generator
) -> Separate:
    """What separates a piece (I, t) into images (J, I, t): one real matrix for all bins, learnt from x (I, T)."""
    stft = STFT(window(PANNED, sample_rate))
    X = stft(x)
    A = panned_mixing(X, n_sources)
    tell(0.1)
    if n_sources == len(x):
        W = demix(X, A)
        tell(0.9)
        return lambda piece: np.linalg.inv(W).T[:, :, None] * (W @ piece)[:, None]
    components, progress = (COMPONENTS, tell) if whole else ((32,), None)  # a third of the models for long recordings

    def separate(piece: Array) -> Array:
        images = images_from_variances(stft(piece), A, components=components, rng=rng, progress=progress)
        return stft.inverse(images, piece.shape[1])

    return separate


def learn_room(
    x: Array, sample_rate: float, n_sources: int, whole: bool, tell: Progress, rng: np.random.Generator
) -> Separate:
    """What separates a piece (I, t) into images (J, I, t): the models of a room, learnt from x (I, T).

    The start comes first, then the full-rank models in the longer window, then that of the frequencies above.
    whole : x is also what will be separated
    """
    low, high = split(x, sample_rate, RATE)
    rate, seconds = min(sample_rate, RATE), REFINED if n_sources == 2 else DETERMINED
    start_stft = STFT(window(DETERMINED if n_sources == len(x) else CLUSTERS, rate))
    X = start_stft(low).astype(complex)
    start, kept = None, 0.0
    if n_sources == len(x):
        images = separate_determined(X, whiten(with_noise_where_singular(X)), rng=rng, progress=part(tell, 0.0, 0.5))
        dry = dryness(images)
        kept = KEPT * float(np.clip((dry - DRY[0]) / (DRY[1] - DRY[0]), 0, 1))
        start = np.stack([mixing(image, X, 1e-12) for image in images]) if kept else None
        samples = demix_again(low, start_stft.inverse(images, low.shape[1]), dry, rate)
    else:
        masks = cacgmm_masks(X, delay_masks(X, most_likely_delays(X, n_sources)))
        model = full_rank_mnmf(X, masks, FIRST, exponent=EXPONENT, rng=rng, progress=part(tell, 0.1, 0.5))
        samples = start_stft.inverse(model.images(X), low.shape[1])
    tell(0.5)
    stft = STFT(window(seconds, rate))
    shares = (np.abs(stft(samples)) ** 2).mean(1) + TINY
    X, shares = stft(low).astype(complex), shares / shares.sum(0)
    models = [
        full_rank_mnmf(X, shares, UPDATES, exponent=EXPONENT, rng=rng, progress=part(tell, first, last))
        for first, last in pairwise(np.linspace(0.5, 0.9, MODELS[n_sources > len(x)] + 1))
    ]
    learnt = Learnt(stft, models, start_stft, start, kept, STFT(window(seconds, sample_rate)), None)
    if high is not None:
        X, H = above(high, models[0].H, learnt, sample_rate)
        learnt = learnt._replace(above=extend(X, H))
    tell(1.0)
    return lambda piece: apply_model(piece, learnt, sample_rate, whole)


def demix_again(x: Array, images: Array, dry: float, rate: float) -> Array:
    """Images (J, I, T) of x (I, T), J = I, by AuxIVA in the windows LONGER that so little `dryness` asks for.

    Each begins with the demixing nearest to the images before it, whose order the outputs keep.
    """
    for seconds in (seconds for seconds, limit in LONGER if dry < limit):
        stft = STFT(window(seconds, rate))
        X = stft(x).astype(complex)
        loudest = (images**2).sum(2).argmax(1)
        W = mixing(stft(images[np.arange(len(images)), loudest]), X)  # (F, J, I)
        Y = aux_iva((W @ X.swapaxes(0, 1)).swapaxes(0, 1).astype(np.complex64), 20, width=round(SMOOTHED * seconds))
        images = stft.inverse(project_back(X, Y), x.shape[1])
    return images


def apply_model(x: Array, learnt: Learnt, sample_rate: float, whole: bool) -> Array:
    """Images (J, I, T) of x (I, T). whole : x is what was learnt from; else its activations are found first."""
    low, high = split(x, sample_rate, RATE)
    X, models = learnt.stft(low).astype(complex), learnt.models
    if not whole:
        models = [model._replace(H=activations(X, model, SHORT)) for model in models]
    found = np.mean([model.images(X) for model in models], axis=0)
    images = (1 - learnt.kept) * learnt.stft.inverse(found, low.shape[1])
    if learnt.start is not None:
        X = (learnt.start @ learnt.start_stft(low).swapaxes(0, 1)).swapaxes(1, 2)
        images += learnt.kept * learnt.start_stft.inverse(X, low.shape[1])
    if high is None or learnt.above is None:
        return images
    X, H = above(high, models[0].H, learnt, sample_rate)
    high_images = learnt.above._replace(H=H).images(X)
    n_missing = learnt.stft_above.n_fft // 2 + 1 - X.shape[1]
    high_images = np.pad(high_images, ((0, 0), (0, 0), (n_missing, 0), (0, 0)))
    images = resample(images, RATE, sample_rate, x.shape[1])
    return images + learnt.stft_above.inverse(high_images, x.shape[1])


def above(high: Array, H: Array, learnt: Learnt, sample_rate: float) -> tuple[Array, Array]:
    """The upper bins X (I, F, N) of high (I, T), at its own rate, and H (J, K, n) interpolated at their frames."""
    stft = learnt.stft_above
    X = stft(high)[:, int(LOWEST * stft.n_fft / sample_rate) :].astype(complex)
    times = stft.times(X.shape[2], sample_rate) / learnt.stft.times(2, min(sample_rate, RATE))[1]
    distance = np.abs(np.arange(H.shape[2])[:, None] - np.minimum(times, H.shape[2] - 1))
    return X, H @ np.maximum(1 - distance, 0)
