"""The protocol of chapter 14: multichannel NMF beside what came after it, on the same scenes: SDR and CPU seconds.

AuxIVA, FastMNMF and FastMNMF2 are pyroomacoustics', and so is "ILRMA (pra)"; the rest is this library's. All have four
components per source where they have components. Their starts are their own, except "blind": `nmflib.blind`, the time
of which is then part of theirs. The scenes: `head` and `room` are clips of data/, those called unseen_… are simulated
rooms of blind_start.py, which were not looked at while the blind start was made. About 4 minutes on one idle core.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments import blind_start, methods, tables
from nmflib.experiments.blind_start import by_pyroomacoustics, timed
from nmflib.experiments.methods import image_sdr, in_order
from nmflib.stft import STFT

TABLE = tables.path("beyond")
SECONDS, COMPONENTS = 8, 4
SCENES = {  # name -> (sources, reverberation time in s; None: no room)
    "head, talkers": (2, None),
    "room, music": (2, 0.25),
    "unseen_2_01": (2, 0.13),
    "unseen_2_07": (2, 0.4),
    "unseen_3_00": (3, 0.13),
}
OWN = {"head, talkers": "kemar_two_talkers", "room, music": "room_music_guitar"}
RUNS = [  # method, start, seeds; the first four need a microphone per source
    ("AuxIVA", "own", 1),
    ("ILRMA (pra)", "own", 2),
    ("ILRMA", "own", 2),
    ("ILRMA", "blind", 1),
    ("blind", "own", 1),
    ("EM", "random", 2),
    ("EM", "blind", 1),
    ("MU", "random", 2),
    ("MU", "blind", 1),
    ("FastMNMF", "own", 1),
    ("FastMNMF2", "own", 1),
]
ITERATIONS = (10, 50)
MEASURES = ("sdr", "worst", "seconds")  # SDR of the images in dB: mean, worst source; CPU seconds of the separation


@lru_cache(maxsize=2)
def images(scene: str) -> Array:
    """The true images (n_sources, 2, n_samples) at 16 kHz, at most SECONDS long."""
    if scene in OWN:
        return scenes.stereo_scene(OWN[scene])[0][..., : SECONDS * scenes.SAMPLE_RATE]
    return blind_start.scenes("unseen", SCENES[scene][0])[scene]["images"]


def frames(scene: str) -> STFT:
    return blind_start.frames(SCENES[scene][0])


@lru_cache(maxsize=2)
def spectrum(scene: str) -> Array:
    """X (2, n_freq, n_frames) of the mixture."""
    return frames(scene)(images(scene).sum(axis=0))


@lru_cache(maxsize=2)
def found_blind(scene: str) -> tuple[Array, float]:
    """Images that the blind start finds, and the CPU seconds it takes."""
    return timed(separate_blind, spectrum(scene), SCENES[scene][0])


def separate(scene: str, method: str, start: str, n_iter: int, seed: int) -> tuple[Array, float]:
    """Images (n_sources, 2, n_freq, n_frames) by one method, and the CPU seconds it took, the blind start included."""
    X, n_sources = spectrum(scene), SCENES[scene][0]
    if method == "blind":
        return found_blind(scene)
    known, spent = found_blind(scene) if start == "blind" else (None, 0.0)

    def found() -> Array:
        if method in ("EM", "MU", "ILRMA"):
            options = {"noise": "isotropic"} if method == "EM" else {}
            return methods.fit(method, X, n_sources, COMPONENTS, n_iter, seed, known, **options).images(X)
        return by_pyroomacoustics(X, n_sources, method.removesuffix(" (pra)").lower(), n_iter, seed)

    estimates, seconds = timed(found)
    return estimates, spent + seconds


def sounds(scene: str, estimates: Array) -> Array:
    """Image STFTs as sounds (n_sources, 2, n_samples), in the order of the true sources."""
    true = images(scene)
    return in_order(true, frames(scene).inverse(estimates, true.shape[-1]))


def measure(scene: str, method: str, start: str, n_iter: int, seed: int) -> dict[str, float]:
    """The measures of one run."""
    estimates, seconds = separate(scene, method, start, n_iter, seed)
    values = image_sdr(images(scene), sounds(scene, estimates))
    return {"sdr": round(np.mean(values), 2), "worst": round(min(values), 2), "seconds": round(seconds, 2)}


def experiments() -> Iterator[dict[str, Any]]:
    """Every run, scene by scene."""
    for scene, (n_sources, _) in SCENES.items():
        for method, start, n_seeds in RUNS[4 if n_sources > 2 else 0 :]:
            for n_iter in (0,) if method == "blind" else ITERATIONS:
                for seed in range(n_seeds):
                    yield {"scene": scene, "method": method, "start": start, "n_iter": n_iter, "seed": seed}
