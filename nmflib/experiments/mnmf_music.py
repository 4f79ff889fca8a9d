"""The runs of chapter 10: EM, MU and ILRMA on guitar + synthesizer, on two piano hands and in a simulated room.

About 4 minutes on one idle core. Two channels: a few numbers of components per source from the IVA start ("IVA"; the
method "start alone" is that start itself) and from the truth ("oracle"), and TABLED components from five draws of
random values. One channel, the left one: MU with TABLED components from random values, as there is no other start. EM
estimates the noise per bin and channel. sdr_1, sdr_2 : SDR of the images (all channels) in dB.
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
from nmflib.metrics import sdr

KEYS = ("scene", "n_channels", "method", "start", "n_components", "seed")
MEASURES = ("sdr_1", "sdr_2")

SCENES = ("guitar_synth", "piano_hands", "room_music_guitar")
METHODS = {"EM": 40, "MU": 60, "ILRMA": 30}  # iterations
N_COMPONENTS = (1, 8, 32)
TABLED = 8
RANDOM = ((2, "MU"), (1, "MU"), (2, "EM"), (2, "ILRMA"))  # channels and method of the runs from random values
SEEDS = range(5)
STFT_PAIR = STFT(4096, 2048)


@lru_cache
def scene(name: str, n_channels: int = 2) -> tuple[Array, Array]:
    """True images (2 sources, n_channels, n_samples) and the STFT of their sum (n_channels, F, N)."""
    images = scenes.stereo_scene(name)[0][:, :n_channels].astype(np.float32)
    return images, STFT_PAIR(images.sum(axis=0))


@lru_cache
def start_images(name: str, start: str) -> Array:
    """STFTs of the images (2, 2, F, N) for a start: the true ones, or those that the blind start finds."""
    images, X = scene(name)
    return STFT_PAIR(images) if start == "oracle" else separate_blind(X, 2, mixing="convolutive")


def fit(run: dict[str, Any]) -> tuple[Any, Array]:
    """The model of one run (a dict of KEYS) and the mixture X it was fitted to."""
    X, method, is_random = scene(run["scene"], run["n_channels"])[1], run["method"], run["start"] == "random"
    known = None if is_random else start_images(run["scene"], run["start"])
    n_iter = METHODS[method]
    how = {"noise": "diagonal"} if method == "EM" else {}
    return methods.fit(method, X, 2, run["n_components"], n_iter, run["seed"], known, **how), X


def estimate(run: dict[str, Any]) -> Array:
    """The images (2, n_channels, n_samples) that one run finds, in the order of the true ones."""
    images, _ = scene(run["scene"], run["n_channels"])
    if run["method"] == "start alone":
        found = start_images(run["scene"], "IVA")
    else:
        model, X = fit(run)
        found = model.images(X)
    return in_order(images, STFT_PAIR.inverse(found, images.shape[-1]))


def measure(**run: Any) -> dict[str, float]:
    """The scores of one run in dB."""
    images = scene(run["scene"], run["n_channels"])[0]
    return {key: round(value, 3) for key, value in zip(MEASURES, map(sdr, images, estimate(run)), strict=True)}


def experiments() -> Iterator[dict[str, Any]]:
    """Every run, start by start, so that an interrupted table holds whole comparisons."""
    for name in SCENES:
        yield dict(zip(KEYS, (name, 2, "start alone", "IVA", 0, 0), strict=True))
    for name, start, n in itertools.product(SCENES, ("IVA", "oracle"), N_COMPONENTS):
        for method in METHODS:
            yield dict(zip(KEYS, (name, 2, method, start, n, 0), strict=True))
    for name, (n_channels, method), seed in itertools.product(SCENES, RANDOM, SEEDS):
        yield dict(zip(KEYS, (name, n_channels, method, "random", TABLED, seed), strict=True))


def read() -> list[dict[str, Any]]:
    """The rows, and `sdr`, the mean of both sources."""
    return [row | {"sdr": (row["sdr_1"] + row["sdr_2"]) / 2} for row in tables.read("mnmf_music")]
