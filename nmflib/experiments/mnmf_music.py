"""The runs of chapter 10: guitar + synthesizer, two piano hands and a simulated room, taken apart by EM, MU and ILRMA.

About 3 minutes on one idle core. Two channels: every number of components per source from the blind start, from the
truth ("oracle": how well the model could do) and from random values (2 seeds for TABLED components, 1 else). One
channel, the left one: TABLED components per source from random values; there is no other start. Scores are of the
images (all channels at once) in dB; isr, sir and sar for TABLED components, else empty.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import STFT
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments import methods, tables
from nmflib.experiments.methods import in_order
from nmflib.metrics import bss_eval, sdr

KEYS = ("scene", "n_channels", "method", "start", "n_components", "seed")
MEASURES = tuple(f"{ratio}_{j}" for ratio in ("sdr", "isr", "sir", "sar") for j in (1, 2))

SCENES = ("guitar_synth", "piano_hands", "room_music_guitar")
METHODS = {"em": 40, "mu": 60, "ilrma": 30}  # iterations
ITERATIONS_EM_RANDOM = 120  # with fewer, the noise falls before the directions are found, and images cancel each other
N_COMPONENTS = (1, 2, 4, 8, 16, 32)
TABLED = 8
SEEDS = range(2)
STFT_PAIR = STFT(4096, 2048)


@lru_cache
def scene(name: str, n_channels: int = 2) -> tuple[Array, Array]:
    """True images (2 sources, n_channels, n_samples) and the STFT of their sum (n_channels, F, N)."""
    images = scenes.stereo_scene(name)[0][:, :n_channels].astype(np.float32)
    return images, STFT_PAIR(images.sum(axis=0))


@lru_cache
def start_images(name: str, start: str) -> Array:
    """STFTs of the images (2, 2, F, N) a start is made of: the true ones, or those found knowing only the mixture."""
    images, X = scene(name)
    return STFT_PAIR(images) if start == "oracle" else separate_blind(X, 2, mixing="convolutive")


def fit(run: dict[str, Any]) -> tuple[Any, Array]:
    """The model of one run (a dict of KEYS) and the mixture X it was fitted to."""
    X, method, is_random = scene(run["scene"], run["n_channels"])[1], run["method"], run["start"] == "random"
    known = None if is_random else start_images(run["scene"], run["start"])
    n_iter = ITERATIONS_EM_RANDOM if method == "em" and is_random else METHODS[method]
    return methods.fit(method, X, 2, run["n_components"], n_iter, run["seed"], known), X


def estimate(run: dict[str, Any]) -> Array:
    """The images (2, n_channels, n_samples) that one run finds, in the order of the true ones."""
    images, _ = scene(run["scene"], run["n_channels"])
    model, X = fit(run)
    return in_order(images, STFT_PAIR.inverse(model.images(X), images.shape[-1]))


def measure(**run: Any) -> dict[str, float]:
    """The scores of one run in dB."""
    images, found = scene(run["scene"], run["n_channels"])[0], estimate(run)
    scores = {f"sdr_{j + 1}": sdr(images[j], found[j]) for j in (0, 1)}
    if run["n_components"] == TABLED:
        one = run["n_channels"] == 1
        bss = bss_eval(images[:, 0], found[:, 0]) if one else bss_eval(images, found)
        for ratio in ("sir", "sar") if one else ("isr", "sir", "sar"):
            scores |= {f"{ratio}_{j + 1}": getattr(bss, ratio)[j] for j in (0, 1)}
    return {key: round(value, 3) for key, value in scores.items()}


def experiments() -> Iterator[dict[str, Any]]:
    """Every run, start by start: what is finished when the program is stopped is a whole comparison."""
    for start, seed in (("blind", 0), ("oracle", 0), *(("random", seed) for seed in SEEDS)):
        for name, method, n in itertools.product(SCENES, METHODS, (TABLED,) if seed else N_COMPONENTS):
            yield dict(zip(KEYS, (name, 2, method, start, n, seed), strict=True))
    for name, method, seed in itertools.product(SCENES, ("em", "mu"), SEEDS):
        yield dict(zip(KEYS, (name, 1, method, "random", TABLED, seed), strict=True))


def read() -> list[dict[str, Any]]:
    """The rows, and `sdr`, the mean of both sources."""
    return [row | {"sdr": (row["sdr_1"] + row["sdr_2"]) / 2} for row in tables.read("mnmf_music")]
