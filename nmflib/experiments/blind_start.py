"""Blind separation on simulated rooms: nmflib's start, EM and MU from it, and AuxIVA, ILRMA, FastMNMF2 beside them.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.blind_start [method ...]

writes blind_start.csv in data/results, one row per scene, method and run. An interrupted run
resumes where it stopped; delete rows to measure them again. Without names, all methods: about an hour on one idle core.

The scenes are drawn once, from fixed seeds. The tuning half may be looked at while a method is being made; the unseen
half has other voices, other pieces and other rooms, and is there to report.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pandas as pd
import soundfile as sf

from nmflib import initialise, mnmf_em, mnmf_mu
from nmflib.blind import separate_blind
from nmflib.blind.arrays import project_back, whiten
from nmflib.blind.determined import separate_determined
from nmflib.course.scenes import data_folder
from nmflib.experiments.grid import run_grid
from nmflib.stft import STFT

CLIPS, TABLE = data_folder() / "clips", data_folder() / "results" / "blind_start.csv"
RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {
    "tuning": ["music_coffee", "guitar_intro", "tabla_cc0"],
    "unseen": ["music_robot", "gs_synth", "piano_mary"],
}
RUNS = {  # random starts, per number of sources
    2: {"blind": 1, "blind+EM": 1, "blind+MU": 1, "turned": 2, "auxiva": 1, "ilrma": 5, "FastMNMF2": 1},
    3: {"blind": 1, "blind+EM": 1, "blind+MU": 1},
}
EM = {  # components per source, iterations, fixed noise as a share of that of `initialise` (mean power of a bin / 100)
    2: (16, 10, 1e-3),
    3: (16, 60, 1e-1),
}
MU = {2: (8, 10), 3: (16, 5)}  # components per source, iterations
MEMORY, SECONDS_OF_CPU = 6 * 2**30, 120  # what FastMNMF2 may use per scene
MEASURES = ["sdr", "worst_source", "seconds"]


def clip(name: str, shift: float = 0.0) -> np.ndarray:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS."""
    x = sf.read(CLIPS / f"{name}.flac", always_2d=True)[0][:, 0]
    return np.resize(np.roll(x, int(shift * RATE)), SECONDS * RATE)


def room_images(signals: list[np.ndarray], rt60: float, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """(J, 2, T) images of equal power of sources at 1 to 1.6 m from two microphones in a random shoe-box room."""
    import pyroomacoustics as pra

    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    absorption, order = pra.inverse_sabine(rt60, size)
    room = pra.ShoeBox(size, fs=RATE, materials=pra.Material(absorption), max_order=order)
    centre = size / 2 + rng.uniform(-0.4, 0.4, 3) * [1, 1, 0.5]
    turn = rng.uniform(0, 2 * np.pi)
    axis, side = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    apart = {2: 40, 3: 35}[len(signals)]  # degrees between neighbouring sources, seen from the microphones
    angles = np.zeros(len(signals))
    while (np.diff(angles) < apart).any():
        angles = np.sort(rng.uniform(25, 155, len(signals)))
    for angle, signal in zip(np.deg2rad(rng.permutation(angles)), signals, strict=True):
        distance = rng.uniform(1.0, 1.6)
        place = centre + distance * (np.cos(angle) * axis + np.sin(angle) * side) + [0, 0, rng.uniform(-0.2, 0.3)]
        room.add_source(np.clip(place, 0.3, size - 0.3), signal=signal)
    room.add_microphone_array(np.stack([centre - axis * spacing / 2, centre + axis * spacing / 2], axis=1))
    images = room.simulate(return_premix=True)[:, :, : SECONDS * RATE]
    return images / np.sqrt((images**2).mean((1, 2), keepdims=True)) * 0.05


@lru_cache
def scenes(half: str, n_sources: int) -> list[dict[str, Any]]:
    """The scenes of one half: every RT60 and spacing, with speech, music, or both in turn."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half] + 10 * n_sources)
    rt60s, repeats = ([0.13, 0.25, 0.4], 2) if n_sources == 2 else ([0.13, 0.25], 1)
    speech, music, found = SPEECH[half], MUSIC[half], []
    grid = itertools.product(range(repeats), enumerate(rt60s), enumerate([0.05, 0.2, 1.0]))
    for repeat, (a, rt60), (b, spacing) in grid:
        k, kind, shifts = len(found), (a + b + repeat) % 3, [0.0, 0.0, 0.0]
        if n_sources == 2:
            names = [speech, [speech[k % 2], music[k % 3]], [music[k % 3], music[(k + 1) % 3]]][kind]
            if kind == 0:
                shifts[1] = rng.uniform(0, 4)
        else:
            names = [[*speech, speech[k % 2]], [*speech, music[k % 3]], music][kind]
            if kind == 0:
                shifts[2] = 4.0  # the third talker is one of the two voices, 4 s apart
        images = room_images([clip(n, s) for n, s in zip(names, shifts, strict=False)], rt60, spacing, rng)
        found.append(
            dict(scene=f"{half}_{n_sources}_{k:02d}", rt60=rt60, spacing=spacing, clips="+".join(names), images=images)
        )
    for name in ["kemar_two_talkers", "room_music_guitar"] if (half, n_sources) == ("tuning", 2) else []:
        images = np.stack([sf.read(CLIPS / f"{name}_image{j}.flac")[0].T for j in (1, 2)])
        found.append(dict(scene=name, rt60=None, spacing=None, clips=name, images=images))
    return [dict(s, half=half, n_sources=n_sources) for s in found]


def sdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """(J,) 10 log10 |s|² / |s − ŝ|² of the images, all channels together, in the best order."""
    error = ((references[:, None] - estimates[None]) ** 2).sum((2, 3))
    ratio = 10 * np.log10((references**2).sum((1, 2))[:, None] / error)
    j = np.arange(len(ratio))
    return max((ratio[j, list(p)] for p in itertools.permutations(j)), key=np.sum)


def separate(method: str, X: np.ndarray, n_sources: int, seed: int, start: np.ndarray | None) -> np.ndarray:
    """(J, I, F, N) images by one method; `seed`: its random start; `start`: the images of "blind", for +EM and +MU."""
    if method == "blind":
        return separate_blind(X, n_sources, rng=seed)
    if method == "blind+EM":
        n_components, n_iter, share = EM[n_sources]
        init = initialise(X, n_sources, n_components, "oracle", images=start, rng=seed)
        init = replace(init, noise=share * init.noise)
        return mnmf_em(X, n_sources, n_components, noise="fixed", n_iter=n_iter, init=init).images(X)
    if method == "blind+MU":
        n_components, n_iter = MU[n_sources]
        init = initialise(X, n_sources, n_components, "oracle", images=start, rng=seed)
        return mnmf_mu(X, n_sources, n_components, order="joint", n_iter=n_iter, init=init).images(X)
    if method == "turned":  # the same mixture seen through a random rotation in every bin
        rng = np.random.default_rng(seed)
        G = rng.standard_normal((X.shape[1], 2, 2)) + 1j * rng.standard_normal((X.shape[1], 2, 2))
        return separate_determined(X, np.einsum("fij,jfn->ifn", np.linalg.qr(G)[0], whiten(X)), rng=0)
    import pyroomacoustics as pra

    np.random.seed(seed)  # noqa: NPY002 — the generator pyroomacoustics uses
    frames = np.ascontiguousarray(X.transpose(2, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "FastMNMF2":
            Y = pra.bss.fastmnmf2(frames, n_src=n_sources, n_iter=60, n_components=4, mic_index="all")
            return Y.transpose(3, 0, 2, 1)
        Y = (
            pra.bss.auxiva(frames, n_iter=60, proj_back=False)
            if method == "auxiva"
            else pra.bss.ilrma(frames, n_src=n_sources, n_iter=60, proj_back=False, n_components=4)
        )
    return project_back(X, Y.transpose(2, 1, 0))


def limited(*arguments: Any) -> np.ndarray:
    """`separate` in a process of its own, of MEMORY bytes and SECONDS_OF_CPU; NaN when it does not come back."""
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)

    def work(pipe: Connection) -> None:
        import resource  # not on Windows, where chapter 14 reads this file too

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_OF_CPU, SECONDS_OF_CPU))
        pipe.send(separate(*arguments))

    process = fork.Process(target=work, args=(sending,))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        return np.full((arguments[2], *arguments[1].shape), np.nan)
    finally:
        process.join()


def measure(scene: str, half: str, n_sources: int, method: str, run: int, **_: Any) -> dict[str, float]:
    """The measures of one row. `seconds`: CPU time, that of the blind start included."""
    images = next(s["images"] for s in scenes(half, n_sources) if s["scene"] == scene)
    stft = STFT(4096 if n_sources == 2 else 2048)
    X = stft(images.sum(0))
    start, seconds = blind(scene, half, n_sources) if method.startswith("blind") else (None, 0.0)
    if method == "blind":
        estimates = start
    else:
        estimates, more = timed(limited if method == "FastMNMF2" else separate, method, X, n_sources, run, start)
        seconds += more
    values = [np.nan]  # the run failed
    if np.isfinite(estimates).all():
        values = sdr(images, stft.inverse(estimates, images.shape[-1]))
    return dict(sdr=round(np.mean(values), 2), worst_source=round(np.min(values), 2), seconds=round(seconds, 1))


@lru_cache(maxsize=1)
def blind(scene: str, half: str, n_sources: int) -> tuple[np.ndarray, float]:
    """The images of the blind start and its seconds, kept for EM and MU."""
    images = next(s["images"] for s in scenes(half, n_sources) if s["scene"] == scene)
    X = STFT(4096 if n_sources == 2 else 2048)(images.sum(0))
    return timed(separate, "blind", X, n_sources, 0, None)


def timed(function: Any, *arguments: Any) -> tuple[np.ndarray, float]:
    """The result, and the seconds of CPU it took, child processes included."""

    def now() -> float:
        children = os.times()
        return time.process_time() + children.children_user + children.children_system

    started = now()
    return function(*arguments), now() - started


def experiments(methods: list[str]) -> Iterator[dict[str, Any]]:
    """Every run, scene by scene."""
    for n_sources, half in itertools.product((2, 3), ("unseen", "tuning")):
        for scene in scenes(half, n_sources):
            keys = {key: scene[key] for key in ("scene", "half", "n_sources", "rt60", "spacing", "clips")}
            for method, n_runs in RUNS[n_sources].items():
                if method in (methods or RUNS[2]) and (method, half) != ("FastMNMF2", "tuning"):
                    yield from (keys | {"method": method, "run": run} for run in range(n_runs))


def main(methods: list[str]) -> None:
    """Measure what is missing; then mean and median over rooms, of several runs of one room the median."""
    table = run_grid(measure, list(experiments(methods)), TABLE, measures=MEASURES)
    per_room = table[table["rt60"].notna()].groupby(["n_sources", "half", "method", "scene", "rt60"])["sdr"].median()
    summary = per_room.groupby(["n_sources", "half", "method"]).agg(["count", "mean", "median", "min"])
    by_rt60 = per_room.groupby(["n_sources", "half", "method", "rt60"]).median().unstack()
    print(pd.concat([summary, by_rt60], axis=1).round(2).to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
