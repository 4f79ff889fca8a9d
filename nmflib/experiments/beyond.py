"""The protocol of chapter 14: multichannel NMF beside what came after it, every method at its best window.

Stages. "iterations": FastMNMF2 in three tuning rooms with COUNTS iterations; the count of the highest mean, for each
start, is the one that it has in all other stages. "windows": tuning rooms of blind_start.py at three windows, six rooms
or, for SLOW methods, three; it chooses a window for every method. "unseen": rooms of the unseen half, each method at
the window chosen. "others": the dummy head and the room of chapter 12 at all three windows, since tuning rooms cannot
choose for them (EM and MU at the window chosen), and a panned pair. "longer": two tuning rooms with twice the
iterations, FastMNMF2 left out.

AuxIVA and FastMNMF2 are pyroomacoustics'; the rest is this library's. Models of components have COMPONENTS per source.
EM estimates a diagonal noise. A start "IVA" is `separate_blind` (panned pair: the level start), whose seconds are then
counted; it depends on the seed too, for its permutation alignment fits NMFs. FastMNMF2 takes of it the demixing
matrices, which is all that its interface accepts. "full rank" is `separate_recording`.
About an hour on one idle core.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from pyroomacoustics import bss

from nmflib import initialise, separate_recording
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments import blind_start, methods, panned, tables
from nmflib.experiments.blind_start import RATE, by_pyroomacoustics, timed
from nmflib.experiments.methods import image_sdr
from nmflib.stft import STFT

TABLE = tables.path("beyond")
COMPONENTS, WINDOWS = 4, (1024, 2048, 4096)
COUNTS = (30, 60, 120, 240, 480)  # iterations of FastMNMF2 that are tried
RUNS = [  # method, start, iterations, seeds
    ("nothing", "own", 0, 1),
    ("AuxIVA", "own", 60, 1),
    ("ILRMA", "own", 60, 5),
    ("EM", "own", 100, 5),
    ("MU", "own", 100, 5),
    ("FastMNMF2", "own", 120, 5),
    ("start alone", "IVA", 0, 5),
    ("ILRMA", "IVA", 30, 5),
    ("EM", "IVA", 30, 5),
    ("MU", "IVA", 30, 5),
    ("FastMNMF2", "IVA", 60, 5),
    ("full rank", "IVA", 0, 5),
]
FREE = ("nothing", "full rank")  # no window to choose
SLOW = (("EM", "own"), ("FastMNMF2", "own"), ("FastMNMF2", "IVA"))
TUNING = [f"tuning_2_{k:02d}" for k in (11, 4, 7, 1, 14, 17)]  # RT60 .13, .25, .4, .13, .25, .4 s
UNSEEN = [f"unseen_2_{k:02d}" for k in range(9)]  # each reverberation time with each spacing
OTHERS = ["kemar_two_talkers", "room_music_guitar", "unseen_2_00 panned"]
MEASURES = ("sdr", "seconds")  # mean SDR of the images in dB; CPU seconds of the separation


@lru_cache(maxsize=2)
def images(scene: str) -> Array:
    """The true images (2, 2, n_samples) at 16 kHz, at most 8 s long."""
    if scene in scenes.STEREO_SCENES:
        return scenes.stereo_scene(scene)[0][..., : 8 * RATE]
    half = scene.split("_")[0]
    if scene.endswith("panned"):
        return panned.scenes(half)[scene.removesuffix(" panned")]["images"]
    return blind_start.scenes(half, 2)[scene]["images"]


@lru_cache(maxsize=8)
def start_images(scene: str, n_fft: int, seed: int) -> tuple[Array, float]:
    """Images (2, 2, n_freq, n_frames) that `separate_blind` finds, and its CPU seconds."""
    X = STFT(n_fft)(images(scene).sum(axis=0))
    return timed(lambda: separate_blind(X, 2, rng=seed))


def fast_mnmf2(X: Array, n_iter: int, seed: int, start: Array | None) -> Array:
    """Images (2, 2, F, N) by pyroomacoustics' FastMNMF2, from the identity or from the demixing of `start`."""
    if start is None:
        return by_pyroomacoustics(X, 2, "fastmnmf2", n_iter, seed)
    A = initialise(X, 2, COMPONENTS, "oracle", images=start).A
    Z = np.ascontiguousarray(X.transpose(2, 1, 0))
    np.random.seed(seed)  # noqa: NPY002 - the generator pyroomacoustics uses
    found = bss.fastmnmf2(Z, n_iter=n_iter, n_components=COMPONENTS, mic_index="all", W0=np.linalg.inv(A))
    return found.transpose(3, 0, 2, 1)


def fit(method: str, X: Array, n_iter: int, seed: int, start: Array | None) -> Array:
    """Images (2, 2, F, N) of X (2, F, N) by one method; start : the images it begins with, None: its own start."""
    if method == "AuxIVA":
        return by_pyroomacoustics(X, 2, "auxiva", n_iter, seed)
    if method == "FastMNMF2":
        return fast_mnmf2(X, n_iter, seed, start)
    options = {"noise": "diagonal"} if method == "EM" else {}
    return methods.fit(method, X, 2, COMPONENTS, n_iter, seed, start, **options).images(X)


def separate(scene: str, method: str, start: str, n_fft: int, n_iter: int, seed: int) -> tuple[Array, float]:
    """Images (2, 2, n_samples), and the CPU seconds they took, those of the start included."""
    x = images(scene).sum(axis=0)
    if method == "nothing":
        return np.repeat(x[np.newaxis] / 2, 2, axis=0), 0.0
    if method == "full rank":
        return timed(lambda: separate_recording(x, RATE, rng=seed))
    stft = STFT(n_fft)
    known, before = start_images(scene, n_fft, seed) if start == "IVA" else (None, 0.0)
    if method == "start alone":
        return stft.inverse(known, x.shape[-1]), before
    found, seconds = timed(fit, method, stft(x), n_iter, seed, known)
    return stft.inverse(found, x.shape[-1]), before + seconds


def measure(scene: str, method: str, start: str, n_fft: int, n_iter: int, seed: int, **_: Any) -> dict[str, float]:
    """The measures of one run; no number if the outputs are not finite."""
    estimates, seconds = separate(scene, method, start, n_fft, n_iter, seed)
    values = image_sdr(images(scene), estimates) if np.isfinite(estimates).all() else [np.nan]
    return {"sdr": round(float(np.mean(values)), 2), "seconds": round(seconds, 2)}


def runs(stage: str, scene: str, n_fft: int, run: tuple[str, str, int, int]) -> Iterator[dict[str, Any]]:
    """The seeds of one method in one scene."""
    method, start, n_iter, n_seeds = run
    for seed in range(n_seeds):
        keys = {"stage": stage, "scene": scene, "method": method, "start": start}
        yield keys | {"n_fft": n_fft, "n_iter": n_iter, "seed": seed}


def iterations() -> Iterator[dict[str, Any]]:
    for scene in TUNING[:3]:
        for start in ("own", "IVA"):
            for n_iter in COUNTS:
                yield from runs("iterations", scene, 4096, ("FastMNMF2", start, n_iter, 1))


def windows() -> Iterator[dict[str, Any]]:
    """One seed of every method that has a window."""
    for k, scene in enumerate(TUNING):
        for n_fft in WINDOWS:
            for method, start, n_iter, _ in RUNS:
                if method not in FREE and (k < 3 or (method, start) not in SLOW):
                    yield from runs("windows", scene, n_fft, (method, start, n_iter, 1))


def best_windows() -> dict[tuple[str, str], int]:
    """Method and start -> the window of the highest mean SDR over the tuning rooms, from the table."""
    found = dict.fromkeys([run[:2] for run in RUNS], 0)
    rows = [row for row in tables.read("beyond") if row["stage"] == "windows"]
    for method in {(row["method"], row["start"]) for row in rows}:
        same = [row for row in rows if (row["method"], row["start"]) == method]
        mean = {n: np.mean([row["sdr"] for row in same if row["n_fft"] == n]) for n in WINDOWS}
        found[method] = max(mean, key=mean.__getitem__)
    return found


def unseen() -> Iterator[dict[str, Any]]:
    best = best_windows()
    for scene in UNSEEN:
        for run in RUNS:
            yield from runs("unseen", scene, best[run[:2]], run)


def others() -> Iterator[dict[str, Any]]:
    """All seeds in the clips, but two of FastMNMF2; at most two in the panned pair."""
    best = best_windows()
    for scene in OTHERS:
        panned_pair = scene.endswith("panned")
        for method, start, n_iter, n_seeds in RUNS:
            seeds = min(n_seeds, 2) if panned_pair or method == "FastMNMF2" else n_seeds
            chosen = panned_pair or method in (*FREE, "EM", "MU")
            for n_fft in (best[method, start],) if chosen else WINDOWS:
                yield from runs("others", scene, n_fft, (method, start, n_iter, seeds))


def longer() -> Iterator[dict[str, Any]]:
    best = best_windows()
    for scene in TUNING[:2]:
        for method, start, n_iter, _ in RUNS:
            if n_iter and method != "FastMNMF2":
                yield from runs("longer", scene, best[method, start], (method, start, 2 * n_iter, 1))


STAGES = [iterations, windows, unseen, others, longer]
