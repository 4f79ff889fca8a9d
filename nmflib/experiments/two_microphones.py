"""The simulated room of chapter 12: computer music and a guitar before two microphones, on a grid of three sliders.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.two_microphones

writes two_microphones.npz: the impulse responses of 36 rooms, and the matrices that the IVA start found in each (about
5 minutes on one idle core). The chapter convolves the responses with the sounds and applies the matrices to the STFT of
the mixture, so that it can show every room in a fraction of a second. The table holds the SDR of the outputs.

`rt60` is the reverberation time asked for (s; 0: no walls), `distance` that of both sources from the middle between the
microphones (m), `spacing` the distance between the microphones (m).
"""

from functools import lru_cache

import numpy as np
from scipy.signal import fftconvolve

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.blind.arrays import mixing
from nmflib.course import scenes
from nmflib.experiments import tables
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import image_sdr, rounded
from nmflib.experiments.rooms import shoe_box
from nmflib.metrics import best_permutation

ARRAYS = tables.path("two_microphones").with_suffix(".npz")
RT60, DISTANCE, SPACING = (0.0, 0.15, 0.3, 0.5), (0.5, 1.0, 1.8), (0.05, 0.2, 0.8)
CUTS = {"": (), "after 20 ms": (0.02, None), "5 to 20 ms": (0.005, 0.02)}  # cut out, in s after the direct sound
MEASURES = ("sdr", "worst")  # dB: mean of the two sources, worse source
SIZE, CENTRE = np.array([5.0, 4.0, 2.6]), np.array([2.5, 1.5, 1.2])  # of the box and the microphones, in m
TOWARDS = np.array([[-1.1, 1.5, 0.0], [1.2, 1.1, -0.1]])  # the sources, seen from the centre
RATE, SECONDS, FRAMES = scenes.SAMPLE_RATE, 8, STFT(4096)


def simulate(rt60: float, distance: float, spacing: float) -> Array:
    """Impulse responses (2 sources, 2 microphones, n_samples) of the box."""
    sources = [CENTRE + distance * towards / np.linalg.norm(towards) for towards in TOWARDS]
    half = np.array([spacing / 2, 0, 0])
    box = shoe_box(SIZE, rt60, RATE, sources, [CENTRE - half, CENTRE + half])
    box.compute_rir()
    n = round((rt60 + 0.03) * RATE)
    return np.array([[np.resize(np.pad(box.rir[i][j], (0, n)), n) for i in (0, 1)] for j in (0, 1)])


@lru_cache(maxsize=1)
def arrays() -> dict[str, Array]:
    """Everything in two_microphones.npz."""
    with np.load(ARRAYS) as file:
        return dict(file)


def index(rt60: float, distance: float, spacing: float) -> tuple[int, int, int]:
    """The place of a setting in the grid."""
    return RT60.index(rt60), DISTANCE.index(distance), SPACING.index(spacing)


def responses(rt60: float, distance: float, spacing: float) -> Array:
    """The stored impulse responses, (2 sources, 2 microphones, n_samples)."""
    a, *place = index(rt60, distance, spacing)
    return arrays()[f"responses_{a}"][*place] * arrays()[f"step_{a}"][*place]


def images(h: Array) -> Array:
    """The image of each source at each microphone, (2 sources, 2 microphones, n_samples), through the responses h."""
    sounds = [scenes.load(name)[0][: SECONDS * RATE] for name in ("music_coffee", "guitar_intro")]
    dry = np.stack([x / x.std() for x in sounds])
    return 0.05 * fftconvolve(dry[:, np.newaxis], h, axes=-1)[..., : SECONDS * RATE]


def separated(mixture: Array, matrices: Array) -> Array:
    """The outputs (2 sources, 2 microphones, n_samples): a matrix times the mixture in every bin, and the rest.

    mixture : (2, n_samples); matrices : (n_freq, 2, 2), of the first output
    """
    X = FRAMES(mixture)
    first = FRAMES.inverse(np.einsum("fij,jfn->ifn", matrices, X), mixture.shape[-1])
    return np.stack([first, mixture - first])


def stored_matrices(rt60: float, distance: float, spacing: float) -> Array:
    """The matrices (n_freq, 2, 2) that the IVA start found for the first source."""
    values = arrays()["matrices"][index(rt60, distance, spacing)].astype(float)  # (3, 2, n_freq)
    first, second, third = values[:, 0] + 1j * values[:, 1]
    return np.array([[first, second], [third, 1 - first]]).transpose(2, 0, 1)  # one source: rank 1, trace 1


def best_matrices(truth: Array) -> Array:
    """The best matrices (n_freq, 2, 2) for the first source, an oracle. truth : (2, 2, n_samples)"""
    return mixing(FRAMES(truth[0]), FRAMES(truth.sum(axis=0)), 1e-9)


def without(h: Array, begin: float, end: float | None) -> Array:
    """The responses h (..., n_samples) with zeros from `begin` to `end`, in s after the first peak."""
    first = int(np.argmax(np.abs(h).max(axis=tuple(range(h.ndim - 1)))))
    left = h.copy()
    left[..., first + round(begin * RATE) : None if end is None else first + round(end * RATE)] = 0
    return left


def measure(rt60: float, distance: float, spacing: float, method: str, missing: str) -> Row:
    h = responses(rt60, distance, spacing)
    truth = images(without(h, *CUTS[missing]) if missing else h)
    mixture = truth.sum(axis=0)
    if method == "best matrices":
        found = separated(mixture, best_matrices(truth))
    elif missing:
        found = FRAMES.inverse(separate_blind(FRAMES(mixture), 2, mixing="convolutive"), mixture.shape[-1])
    else:
        found = separated(mixture, stored_matrices(rt60, distance, spacing))
    values = image_sdr(truth, found)
    return rounded(MEASURES, (np.mean(values), min(values)))


def experiments() -> list[Row]:
    """The 36 rooms, then those with walls and microphones 20 cm apart with cut responses."""
    rooms, methods = {"rt60": RT60, "distance": DISTANCE, "spacing": SPACING}, ("best matrices", "IVA start")
    cut = rooms | {"rt60": RT60[1:], "spacing": 0.2, "method": methods, "missing": list(CUTS)[1:]}
    return grid(**rooms, method=methods, missing="") + grid(**cut)


def found_matrices(h: Array) -> Array:
    """Three complex entries (3, 2, n_freq) of the matrices that the IVA start finds, from which the fourth follows."""
    truth = images(h)
    X = FRAMES(truth.sum(axis=0))
    found = separate_blind(X, 2, mixing="convolutive")
    first = best_permutation(truth, FRAMES.inverse(found, truth.shape[-1]))[0]
    entries = mixing(found[first], X, 1e-9).reshape(-1, 4).T[:3]
    return np.stack([entries.real, entries.imag], axis=1)


def build() -> None:
    """Simulate every room, separate it, and write two_microphones.npz."""
    store, matrices = {}, []
    for a, rt60 in enumerate(RT60):
        h = np.array([[simulate(rt60, distance, spacing) for spacing in SPACING] for distance in DISTANCE])
        step = np.abs(h).max(axis=(2, 3, 4), keepdims=True) / 32767
        store |= {f"responses_{a}": np.round(h / step).astype(np.int16), f"step_{a}": step[..., 0, 0, 0]}
        stored = store[f"responses_{a}"] * step  # the scene is what is stored
        matrices.append([[found_matrices(room) for room in rooms] for rooms in stored])
    np.savez_compressed(ARRAYS, matrices=np.array(matrices, np.float16), **store)


if __name__ == "__main__":
    build()
