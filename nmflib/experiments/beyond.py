"""The protocol of chapter 14: multichannel NMF beside what came after it, every method at its best window.

data/results/README.md describes the stages; every stage takes from the table what an earlier one has chosen. AuxIVA and
FastMNMF2 are pyroomacoustics', the rest is this library's. A start "IVA" is `separate_blind` (panned pair: the level
start), of which FastMNMF2 takes the demixing matrices, as its interface accepts no more; "full rank" is
`separate_recording`. About an hour on one idle core.
"""

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pyroomacoustics import bss

from nmflib import STFT, initialise, separate_blind, separate_recording
from nmflib._check import Array
from nmflib.blind.arrays import project_back
from nmflib.course.scenes import STEREO_SCENES, stereo_scene
from nmflib.experiments import methods, panned, recordings, tables
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import image_sdr, rounded, timed
from nmflib.experiments.recordings import RATE

COMPONENTS, WINDOWS = 4, (1024, 2048, 4096)
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
    if scene in STEREO_SCENES:
        return stereo_scene(scene)[0][..., : 8 * RATE]
    half, name = scene.split("_")[0], scene.removesuffix(" panned")
    scenes = recordings.scenes(half, 2) if name == scene else panned.scenes(half)
    return scenes[name]["images"]


@lru_cache(maxsize=8)
def start_images(scene: str, n_fft: int, seed: int) -> tuple[Array, float]:
    """Images (2, 2, n_freq, n_frames) that `separate_blind` finds, and its CPU seconds."""
    X = STFT(n_fft)(images(scene).sum(axis=0))
    return timed(lambda: separate_blind(X, 2, rng=seed))


def fit(method: str, X: Array, n_iter: int, seed: int, start: Array | None) -> Array:
    """Images (2, 2, F, N) of X (2, F, N) by one method; start : the images it begins with, None: its own start."""
    if method not in ("AuxIVA", "FastMNMF2"):
        return methods.fit(method, X, 2, COMPONENTS, n_iter, seed, start).images(X)
    np.random.seed(seed)  # noqa: NPY002 - the generator pyroomacoustics uses
    Z = np.ascontiguousarray(X.transpose(2, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "AuxIVA":
            return project_back(X, bss.auxiva(Z, n_iter=n_iter, proj_back=False).transpose(2, 1, 0))
        W0 = None if start is None else np.linalg.inv(initialise(X, 2, COMPONENTS, "oracle", images=start).A)
        return bss.fastmnmf2(Z, n_iter=n_iter, n_components=COMPONENTS, mic_index="all", W0=W0).transpose(3, 0, 2, 1)


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


def measure(scene: str, method: str, start: str, n_fft: int, n_iter: int, seed: int, **_: Any) -> Row:
    """The measures of one run; no number if the outputs are not finite."""
    estimates, seconds = separate(scene, method, start, n_fft, n_iter, seed)
    values = image_sdr(images(scene), estimates) if np.isfinite(estimates).all() else [np.nan]
    return rounded(MEASURES, (np.mean(values), seconds))


def runs(stage: str, scene: str | list[str], n_fft: int | tuple[int, ...], *run: Any) -> list[Row]:
    """Every seed of one of RUNS in the scenes, at the windows."""
    method, start, n_iter, n_seeds = run
    keys = {"stage": stage, "scene": scene, "method": method, "start": start}
    return grid(**keys, n_fft=n_fft, n_iter=n_iter, seed=range(n_seeds))


def iterations() -> Iterator[Row]:
    for start in ("own", "IVA"):
        yield from runs("iterations", TUNING[:3], 4096, "FastMNMF2", start, (30, 60, 120, 240, 480), 1)


def windows() -> Iterator[Row]:
    for k, scene in enumerate(TUNING):
        for method, start, n_iter, _ in RUNS:
            if method not in FREE and (k < 3 or (method, start) not in SLOW):
                yield from runs("windows", scene, WINDOWS, method, start, n_iter, 1)


def best_windows() -> dict[tuple[str, str], int]:
    """Method and start -> the window of the highest mean SDR over the tuning rooms, from the table."""
    rows = pd.DataFrame(tables.read("beyond")).query("stage == 'windows'")
    mean = rows.groupby(["method", "start", "n_fft"]).sdr.mean().unstack()
    return dict.fromkeys([run[:2] for run in RUNS], 0) | mean.idxmax(axis=1).to_dict()


def unseen() -> Iterator[Row]:
    best = best_windows()
    for scene in UNSEEN:
        for run in RUNS:
            yield from runs("unseen", scene, best[run[:2]], *run)


def others() -> Iterator[Row]:
    """All seeds in the clips, but two of FastMNMF2; at most two in the panned pair."""
    best = best_windows()
    for scene in OTHERS:
        panned_pair = scene.endswith("panned")
        for method, start, n_iter, n_seeds in RUNS:
            seeds = min(n_seeds, 2) if panned_pair or method == "FastMNMF2" else n_seeds
            chosen = panned_pair or method in (*FREE, "EM", "MU")
            yield from runs("others", scene, best[method, start] if chosen else WINDOWS, method, start, n_iter, seeds)


def longer() -> Iterator[Row]:
    best = best_windows()
    for method, start, n_iter, _ in RUNS:
        if n_iter and method != "FastMNMF2":
            yield from runs("longer", TUNING[:2], best[method, start], method, start, 2 * n_iter, 1)


STAGES = [iterations, windows, unseen, others, longer]
