"""The two scenes of chapter 12 by three methods, and by the blind one on their first seconds (2 minutes)."""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import ilrma
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments import methods
from nmflib.experiments.methods import in_order
from nmflib.experiments.two_microphones import FRAMES, RATE
from nmflib.metrics import bss_eval

SCENES = {"room": "room_music_guitar", "dummy head": "kemar_two_talkers"}
LENGTHS, METHODS = (3, 4, 5, 6, 7, 8), ("blind", "blind, then EM", "ILRMA")  # LENGTHS in seconds
MEASURES = ("sdr", "isr", "sir", "sar", "swapped")


def separate(X: Array, method: str, blind: Array) -> Array:
    """Images (2, 2, n_freq, n_frames) of X (2, n_freq, n_frames) by one of METHODS; `blind` are those of "blind"."""
    if method == "blind":
        return blind
    if method == "ILRMA":
        return ilrma(X, 4).images(X)
    return methods.fit("EM", X, 2, 8, 30, 0, blind, noise="diagonal").images(X)  # from what was found: no truth in it


def swapped(references: Array, estimates: Array) -> float:
    """Share of the mixture's energy in bins where the outputs are nearer to the other source. (2, 2, n_samples) each"""
    S, Y = FRAMES(references), FRAMES(estimates)
    error, crossed = ((np.abs(S - other) ** 2).sum(axis=(0, 1, 3)) for other in (Y, Y[::-1]))
    energy = (np.abs(S.sum(axis=0)) ** 2).sum(axis=(0, 2))
    return float(energy[crossed < error].sum() / energy.sum())


@lru_cache(maxsize=1)
def found_blind(scene: str, seconds: float) -> tuple[Array, Array, Array]:
    """True images (2, 2, n_samples) of the first seconds, X, and the images (2, 2, F, N) that the blind start finds."""
    truth = scenes.stereo_scene(SCENES[scene])[0][..., : round(seconds * RATE)]
    X = FRAMES(truth.sum(axis=0))
    return truth, X, separate_blind(X, 2, mixing="convolutive")


@lru_cache(maxsize=1)
def scores(scene: str, seconds: float, method: str) -> dict[str, Array]:
    """The measures of both sources, kept for their rows."""
    truth, X, blind = found_blind(scene, seconds)
    estimates = in_order(truth, FRAMES.inverse(separate(X, method, blind), truth.shape[-1]))
    return vars(bss_eval(truth, estimates)) | {"swapped": np.full(2, swapped(truth, estimates))}


def measure(scene: str, seconds: float, method: str, source: int) -> dict[str, float]:
    """The measures of one output; ratios in dB."""
    values = scores(scene, seconds, method)
    return {name: round(float(values[name][source - 1]), 4 if name == "swapped" else 2) for name in MEASURES}


def experiments() -> Iterator[dict[str, Any]]:
    for scene, clip in SCENES.items():
        whole = scenes.stereo_scene(clip)[0].shape[-1] / RATE
        runs = [(seconds, "blind") for seconds in LENGTHS if seconds < whole] + [(whole, method) for method in METHODS]
        for (seconds, method), source in itertools.product(runs, (1, 2)):
            yield {"scene": scene, "seconds": seconds, "method": method, "source": source}
