"""Blind separation on simulated rooms: nmflib's start, EM and MU from it, and AuxIVA, ILRMA, FastMNMF2 beside them.

The scenes are drawn once, from fixed seeds. The tuning half may be looked at while a method is being made; the unseen
half has other voices, other pieces and other rooms, and is there to report. About an hour on one idle core.
"""

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import initialise, mnmf_em
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.blind.arrays import project_back, whiten
from nmflib.blind.determined import separate_determined
from nmflib.course.scenes import load, stereo_scene
from nmflib.experiments import methods
from nmflib.experiments.methods import image_sdr
from nmflib.experiments.rooms import shoe_box
from nmflib.stft import STFT

RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {
    "tuning": ["music_coffee", "guitar_intro", "tabla_cc0"],
    "unseen": ["music_robot", "gs_synth", "piano_mary"],
}
RUNS = {  # random starts, per number of sources
    2: {"blind": 5, "blind+EM": 1, "blind+MU": 1, "turned": 2, "auxiva": 1, "ilrma": 5, "FastMNMF2": 1},
    3: {"blind": 5, "blind+EM": 1, "blind+MU": 1},
}
EM = {  # components per source, iterations, fixed noise as a share of that of `initialise` (mean power of a bin / 100)
    2: (16, 10, 1e-3),
    3: (16, 60, 1e-1),
}
MU = {2: (8, 10), 3: (16, 5)}  # components per source, iterations
MEASURES = ["sdr", "worst_source", "seconds"]  # CPU seconds, those of the blind start included


def clip(name: str, shift: float = 0.0) -> Array:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS."""
    return np.resize(np.roll(np.atleast_2d(load(name)[0])[0], int(shift * RATE)), SECONDS * RATE)


def room_images(
    signals: list[Array], rt60: float, spacing: float, rng: np.random.Generator, n_channels: int = 2
) -> Array:
    """(J, I, T) images of equal power of sources at 1 to 1.6 m from a line of microphones in a random room."""
    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    centre = size / 2 + rng.uniform(-0.4, 0.4, 3) * [1, 1, 0.5]
    turn = rng.uniform(0, 2 * np.pi)
    axis, side = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    apart = {2: 40, 3: 35}[len(signals)]  # degrees between neighbouring sources, seen from the microphones
    angles = np.zeros(len(signals))
    while (np.diff(angles) < apart).any():
        angles = np.sort(rng.uniform(25, 155, len(signals)))
    sources = []
    for angle in np.deg2rad(rng.permutation(angles)):
        distance = rng.uniform(1.0, 1.6)
        place = centre + distance * (np.cos(angle) * axis + np.sin(angle) * side) + [0, 0, rng.uniform(-0.2, 0.3)]
        sources.append(np.clip(place, 0.3, size - 0.3))
    microphones = [centre + axis * spacing * (i - (n_channels - 1) / 2) for i in range(n_channels)]
    room = shoe_box(size, rt60, RATE, sources, microphones, signals=signals)
    images = room.simulate(return_premix=True)[:, :, : SECONDS * RATE]
    return images / np.sqrt((images**2).mean((1, 2), keepdims=True)) * 0.05


@lru_cache
def scenes(half: str, n_sources: int, n_channels: int = 2) -> dict[str, dict[str, Any]]:
    """The scenes of one half by name: every RT60 and spacing, with speech, music, or both in turn."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half] + 10 * n_sources)
    rt60s, repeats = ([0.13, 0.25, 0.4], 2) if n_sources == 2 else ([0.13, 0.25], 1)
    speech, music = SPEECH[half], MUSIC[half]
    found: dict[str, dict[str, Any]] = {}
    grid = itertools.product(range(repeats), enumerate(rt60s), enumerate([0.05, 0.2, 1.0]))
    for k, (repeat, (a, rt60), (b, spacing)) in enumerate(grid):
        kind, shifts = (a + b + repeat) % 3, [0.0, 0.0, 0.0]
        if n_sources == 2:
            names = [speech, [speech[k % 2], music[k % 3]], [music[k % 3], music[(k + 1) % 3]]][kind]
            if kind == 0:
                shifts[1] = rng.uniform(0, 4)
        else:
            names = [[*speech, speech[k % 2]], [*speech, music[k % 3]], music][kind]
            if kind == 0:
                shifts[2] = 4.0  # the third talker is one of the two voices, 4 s apart
        images = room_images([clip(n, s) for n, s in zip(names, shifts, strict=False)], rt60, spacing, rng, n_channels)
        found[f"{half}_{n_sources}_{k:02d}"] = dict(rt60=rt60, spacing=spacing, clips="+".join(names), images=images)
    for name in ["kemar_two_talkers", "room_music_guitar"] if (half, n_sources) == ("tuning", 2) else []:
        found[name] = dict(rt60=None, spacing=None, clips=name, images=stereo_scene(name)[0])
    return found


def separate(method: str, X: Array, n_sources: int, seed: int, start: Array) -> Array:
    """(J, I, F, N) images by one method; `seed`: its random start; `start`: the images of "blind", for +EM and +MU."""
    if method == "blind+EM":
        n_components, n_iter, share = EM[n_sources]
        init = initialise(X, n_sources, n_components, "oracle", images=start, rng=seed)
        init = replace(init, noise=share * init.noise)
        return mnmf_em(X, n_sources, n_components, noise="fixed", n_iter=n_iter, init=init).images(X)
    if method == "blind+MU":
        return methods.fit("MU", X, n_sources, *MU[n_sources], seed, start, order="joint").images(X)
    if method == "turned":  # the same mixture seen through a random rotation in every bin
        rng = np.random.default_rng(seed)
        G = rng.standard_normal((X.shape[1], 2, 2)) + 1j * rng.standard_normal((X.shape[1], 2, 2))
        return separate_determined(X, np.einsum("fij,jfn->ifn", np.linalg.qr(G)[0], whiten(X)), rng=0)
    return by_pyroomacoustics(X, n_sources, method.lower(), 60, seed)


def by_pyroomacoustics(X: Array, n_sources: int, method: str, n_iter: int, seed: int) -> Array:
    """(J, I, F, N) images by "auxiva", "ilrma", "fastmnmf" or "fastmnmf2", with four components per source."""
    from pyroomacoustics import bss

    np.random.seed(seed)  # noqa: NPY002 - the generator pyroomacoustics uses
    Z = np.ascontiguousarray(X.transpose(2, 1, 0))
    components = {} if method == "auxiva" else {"n_components": 4}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method.startswith("fast"):
            Y = getattr(bss, method)(Z, n_src=n_sources, n_iter=n_iter, mic_index="all", **components)
            return Y.transpose(3, 0, 2, 1)
        Y = getattr(bss, method)(Z, n_iter=n_iter, proj_back=False, **components)
    return project_back(X, Y.transpose(2, 1, 0))


def frames(n_sources: int) -> STFT:
    """What suits the blind start: with more sources than microphones a shorter window."""
    return STFT(4096 if n_sources == 2 else 2048)


def measure(scene: str, half: str, n_sources: int, method: str, run: int, **_: Any) -> dict[str, float]:
    """The measures of one row; SDR in dB, mean and lowest of the images."""
    images = scenes(half, n_sources)[scene]["images"]
    X = frames(n_sources)(images.sum(0))
    estimates, seconds = blind(scene, half, n_sources, run) if method.startswith("blind") else (X, 0.0)
    if method != "blind":
        estimates, more = timed(separate, method, X, n_sources, run, estimates)
        seconds += more
    values = [np.nan]
    if np.isfinite(estimates).all():
        values = image_sdr(images, frames(n_sources).inverse(estimates, images.shape[-1]))
    return dict(sdr=round(np.mean(values), 2), worst_source=round(np.min(values), 2), seconds=round(seconds, 1))


@lru_cache(maxsize=5)
def blind(scene: str, half: str, n_sources: int, seed: int) -> tuple[Array, float]:
    """The images of the blind start and its seconds, kept for EM and MU."""
    images = scenes(half, n_sources)[scene]["images"]
    return timed(lambda: separate_blind(frames(n_sources)(images.sum(0)), n_sources, rng=seed))


def timed(function: Callable[..., Array], *arguments: Any) -> tuple[Array, float]:
    """The result, and the seconds of CPU it took."""
    started = time.process_time()
    return function(*arguments), time.process_time() - started


def experiments() -> Iterator[dict[str, Any]]:
    """Every run, scene by scene."""
    for n_sources, half in itertools.product((2, 3), ("unseen", "tuning")):
        for name, scene in scenes(half, n_sources).items():
            keys = {"scene": name, "half": half, "n_sources": n_sources}
            keys |= {key: scene[key] for key in ("rt60", "spacing", "clips")}
            for method, n_runs in RUNS[n_sources].items():
                if (method, half) != ("FastMNMF2", "tuning"):
                    yield from (keys | {"method": method, "run": run} for run in range(n_runs))
