"""The simulated room of chapter 12: computer music and a guitar before two microphones, on a grid of three sliders.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.two_microphones

writes in data/results (about 7 minutes on one idle core), also in three steps with `build`, `measure` and `clips`,

- two_microphones.npz: the impulse responses of 36 rooms, and the matrices that the blind separation found in each;
- two_microphones.csv: how good the outputs are, made from the arrays;
- two_microphones_clips.csv: the chapter's two scenes by every method, and cut to several lengths.

The chapter convolves the responses with the sounds, applies the matrices to the mixture's STFT, and so has every scene
and its separation in a fraction of a second.

The room is simulated: a box of 5 × 4 × 2.6 m by image sources, absorption after Sabine. `rt60` is the reverberation
time asked for (s; 0: no walls), `distance` that of both sources from the middle between the microphones (m), `spacing`
the distance between the microphones (m).
"""

import csv
import itertools
import sys
from functools import lru_cache

import numpy as np
from scipy.signal import fftconvolve

from nmflib import STFT, ilrma, initialise, mnmf_em
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.metrics import best_permutation, bss_eval

RESULTS = scenes.data_folder() / "results"
TABLE, ARRAYS = RESULTS / "two_microphones.csv", RESULTS / "two_microphones.npz"
CLIPS = RESULTS / "two_microphones_clips.csv"
SCENES = {"room": "room_music_guitar", "dummy head": "kemar_two_talkers"}
CLIP_FIELDS = ["scene", "seconds", "method", "source", "sdr", "isr", "sir", "sar", "swapped"]
LENGTHS, METHODS = (3, 4, 5, 6, 7, 8, None), ("blind", "blind, then EM", "ILRMA")  # seconds; None: the whole clip
RT60, DISTANCE, SPACING = (0.0, 0.15, 0.3, 0.5), (0.5, 1.0, 1.8), (0.05, 0.2, 0.8)
SOUNDS, SECONDS = ("music_coffee", "guitar_intro"), 8
SIZE, CENTRE = np.array([5.0, 4.0, 2.6]), np.array([2.5, 1.5, 1.2])
TOWARDS = np.array([[-1.1, 1.5, 0.0], [1.2, 1.1, -0.1]])  # the sources, seen from the centre
RATE, FRAMES = scenes.SAMPLE_RATE, STFT(4096)
FIELDS = ["rt60", "distance", "spacing", "method", "source", "direct_db", "sdr", "isr", "sir", "sar"]


def simulate(rt60, distance, spacing):
    """Impulse responses (2 sources, 2 microphones, n_samples) of the box, by pyroomacoustics."""
    import pyroomacoustics as pra

    absorption, order = pra.inverse_sabine(rt60, SIZE) if rt60 else (1.0, 0)
    box = pra.ShoeBox(SIZE, fs=RATE, materials=pra.Material(absorption), max_order=order)
    for towards in TOWARDS:
        box.add_source(CENTRE + distance * towards / np.linalg.norm(towards))
    half = np.array([spacing / 2, 0, 0])
    box.add_microphone_array(np.stack([CENTRE - half, CENTRE + half], axis=1))
    box.compute_rir()
    n = round((rt60 + 0.03) * RATE)
    return np.array([[np.resize(np.pad(box.rir[i][j], (0, n)), n) for i in (0, 1)] for j in (0, 1)])


@lru_cache(maxsize=1)
def arrays():
    """Everything in two_microphones.npz."""
    with np.load(ARRAYS) as file:
        return dict(file)


def index(rt60, distance, spacing):
    """The place of a setting in the grid; a ValueError names what is not in it."""
    for name, value, grid in (
        ("rt60", rt60, RT60),
        ("distance", distance, DISTANCE),
        ("spacing", spacing, SPACING),
    ):
        if value not in grid:
            raise ValueError(f"{name} is {value}; the grid has {', '.join(map(str, grid))}")
    return RT60.index(rt60), DISTANCE.index(distance), SPACING.index(spacing)


def responses(rt60, distance, spacing):
    """The stored impulse responses, (2 sources, 2 microphones, n_samples)."""
    a, b, c = index(rt60, distance, spacing)
    return arrays()[f"responses_{a}"][b, c] * arrays()[f"step_{a}"][b, c]


def images(h):
    """What two microphones hear of each source, (2 sources, 2 microphones, n_samples), through the responses h."""
    sounds = [scenes.load(name)[0][: SECONDS * RATE] for name in SOUNDS]
    dry = np.stack([x / x.std() for x in sounds])
    return 0.05 * fftconvolve(dry[:, np.newaxis], h, axes=-1)[..., : SECONDS * RATE]


def separated(mixture, matrices):
    """The outputs (2 sources, 2 microphones, n_samples): in every bin, a matrix times the mixture; and the rest.

    mixture : (2, n_samples); matrices : (n_freq, 2, 2), of the first output
    """
    X = FRAMES(mixture)
    first = FRAMES.inverse(np.einsum("fij,jfn->ifn", matrices, X), mixture.shape[-1])
    return np.stack([first, mixture - first])


def stored_matrices(rt60, distance, spacing):
    """(n_freq, 2, 2): what turns the mixture into the first source, as the blind separation found it."""
    values = arrays()["matrices"][index(rt60, distance, spacing)].astype(float)  # (3, 2, n_freq)
    first, second, third = values[:, 0] + 1j * values[:, 1]
    return np.array([[first, second], [third, 1 - first]]).transpose(2, 0, 1)  # one source: rank 1, trace 1


def fitted_matrices(X, image):
    """(n_freq, 2, 2) of image = matrix · X by least squares; both (2, n_freq, n_frames)."""
    x, y = X.swapaxes(0, 1), image.swapaxes(0, 1)
    xh = x.conj().swapaxes(1, 2)
    C = x @ xh
    C = C + 1e-9 * np.trace(C, axis1=1, axis2=2).real[:, None, None] * np.eye(2)
    return np.linalg.solve(C.swapaxes(1, 2), (y @ xh).swapaxes(1, 2)).swapaxes(1, 2)


def in_order(references, estimates):
    """The estimates in the order of the references, and which place each had."""
    places = list(best_permutation(references, estimates))
    return estimates[places], places


def direct_db(h):
    """Direct sound over all that follows 2.5 ms later, in dB, of responses (..., n_samples)."""
    first = int(np.argmax(np.abs(h).max(axis=tuple(range(h.ndim - 1)))))
    split = first + round(0.0025 * RATE)
    late = float(np.sum(h[..., split:] ** 2))
    return 10 * np.log10(float(np.sum(h[..., :split] ** 2)) / late)


def best_matrices(truth):
    """(n_freq, 2, 2): what turns the mixture into the first source best, an oracle. truth : (2, 2, n_samples)"""
    return fitted_matrices(FRAMES(truth.sum(axis=0)), FRAMES(truth[0]))


def outputs(truth, rt60, distance, spacing):
    """{method: (2 sources, 2 microphones, n_samples)}, in the order of the truth."""
    mixture = truth.sum(axis=0)
    by_ilrma = FRAMES.inverse(ilrma(FRAMES(mixture), 4).images(FRAMES(mixture)), mixture.shape[-1])
    return {
        "best matrices": separated(mixture, best_matrices(truth)),
        "blind": separated(mixture, stored_matrices(rt60, distance, spacing)),
        "ILRMA": in_order(truth, by_ilrma)[0],
    }


def build():
    """Simulate every room, separate it blindly, and write two_microphones.npz."""
    shape = (len(RT60), len(DISTANCE), len(SPACING))
    store = {"matrices": np.zeros((*shape, 3, 2, FRAMES.n_fft // 2 + 1), np.float16)}
    for a, rt60 in enumerate(RT60):
        store[f"responses_{a}"] = np.zeros((*shape[1:], 2, 2, round((rt60 + 0.03) * RATE)), np.int16)
        store[f"step_{a}"] = np.zeros(shape[1:])
    for setting in itertools.product(RT60, DISTANCE, SPACING):
        a, b, c = index(*setting)
        h = simulate(*setting)
        step = np.abs(h).max() / 32767
        store[f"step_{a}"][b, c] = step
        store[f"responses_{a}"][b, c] = np.round(h / step)
        truth = images(store[f"responses_{a}"][b, c] * step)  # the scene is what is stored
        X = FRAMES(truth.sum(axis=0))
        found = separate_blind(X, 2)
        _, places = in_order(truth, FRAMES.inverse(found, truth.shape[-1]))
        M = fitted_matrices(X, found[places[0]])
        for k, entry in enumerate((M[:, 0, 0], M[:, 0, 1], M[:, 1, 0])):
            store["matrices"][a, b, c, k] = entry.real, entry.imag
        print(*setting, flush=True)
    np.savez_compressed(ARRAYS, **store)


def measure():
    """Score every method in every room, and write two_microphones.csv."""
    rows = []
    for setting in itertools.product(RT60, DISTANCE, SPACING):
        h = responses(*setting)
        truth = images(h)
        for method, estimates in outputs(truth, *setting).items():
            figures = bss_eval(truth, estimates)
            for j in (0, 1):
                scores = [figures.sdr[j], figures.isr[j], figures.sir[j], figures.sar[j]]
                shown = [f"{value:.2f}" for value in (direct_db(h[j]), *scores)]
                if not setting[0]:  # no walls: nothing follows the direct sound; and one channel is the other one
                    shown[0] = shown[2] = shown[3] = shown[4] = ""  # delayed, so that BSS Eval's filters are not unique
                rows.append([*setting, method, j + 1, *shown])
        print(*rows[-1], flush=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([FIELDS, *rows])


def separate(X, method, blind):
    """Images (2, 2, n_freq, n_frames) of X (2, n_freq, n_frames) by one of METHODS; `blind` are those of "blind"."""
    if method == "blind":
        return blind
    if method == "ILRMA":
        return ilrma(X, 4).images(X)
    start = initialise(X, 2, 8, "oracle", images=blind)  # a model of what was found: no truth in it
    return mnmf_em(X, 2, 8, noise="diagonal", n_iter=30, init=start).images(X)


def swapped(references, estimates):
    """Share of the mixture's energy in bins where the outputs are nearer to the other source. (2, 2, n_samples) each"""
    S, Y = FRAMES(references), FRAMES(estimates)
    error, crossed = ((np.abs(S - other) ** 2).sum(axis=(0, 1, 3)) for other in (Y, Y[::-1]))
    energy = (np.abs(S.sum(axis=0)) ** 2).sum(axis=(0, 2))
    return float(energy[crossed < error].sum() / energy.sum())


def measure_clips():
    """Every method on the two scenes of data/, the blind one also on their first seconds: two_microphones_clips.csv."""
    rows = []
    for scene, seconds in itertools.product(SCENES, LENGTHS):
        truth = scenes.stereo_scene(SCENES[scene])[0]
        whole = truth.shape[-1] / RATE
        if seconds and seconds >= whole:
            continue
        truth = truth[..., : round((seconds or whole) * RATE)]
        X = FRAMES(truth.sum(axis=0))
        blind = separate_blind(X, 2)
        for method in METHODS if not seconds else METHODS[:1]:
            estimates = FRAMES.inverse(separate(X, method, blind), truth.shape[-1])
            estimates = in_order(truth, estimates)[0]
            figures = bss_eval(truth, estimates)
            for j in (0, 1):
                values = [f"{getattr(figures, name)[j]:.2f}" for name in FIELDS[6:]]
                values.append(f"{swapped(truth, estimates):.4f}")
                rows.append([scene, seconds or whole, method, j + 1, *values])
                print(*rows[-1], flush=True)
    with CLIPS.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([CLIP_FIELDS, *rows])


def table(path=TABLE):
    """The rows of a table; what can be a number is one, nothing is nan."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    words = ("method", "scene")
    return [{k: v if k in words else float(v or "nan") for k, v in row.items()} for row in rows]


if __name__ == "__main__":
    for step in sys.argv[1:] or ("build", "measure", "clips"):
        {"build": build, "measure": measure, "clips": measure_clips}[step]()
