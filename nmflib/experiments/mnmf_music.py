"""The runs of chapter 10: EM, MU and ILRMA on guitar + synthesizer, on two piano hands and in a simulated room.

Two channels start from the IVA start ("IVA"; the method "start alone" is that start itself), from the truth ("oracle")
and from five draws of random values; one channel, the left one, from random values, as there is no other start.
sdr_1, sdr_2 : SDR of the images (all channels) in dB. About 4 minutes on one idle core.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.course import scenes
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import fit, image_sdr, rounded

MEASURES = ("sdr_1", "sdr_2")
SCENES = ("guitar_synth", "piano_hands", "room_music_guitar")
METHODS = {"EM": 40, "MU": 60, "ILRMA": 30}  # iterations
N_COMPONENTS = (1, 8, 32)
TABLED = 8
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


def measure(**run: Any) -> Row:
    name, method, start = run["scene"], run["method"], run["start"]
    images, X = scene(name, run["n_channels"])
    found = None if start == "random" else start_images(name, start)
    if method != "start alone":
        found = fit(method, X, 2, run["n_components"], METHODS[method], run["seed"], found).images(X)
    return rounded(MEASURES, image_sdr(images, STFT_PAIR.inverse(found, images.shape[-1])), 3)


def experiments() -> list[Row]:
    two, rest = {"scene": SCENES, "n_channels": 2}, {"n_components": TABLED, "seed": range(5)}
    runs = grid(**two, method="start alone", start="IVA", n_components=0, seed=0)
    runs += grid(**two, method=list(METHODS), start=("IVA", "oracle"), n_components=N_COMPONENTS, seed=0)
    runs += grid(**two, method=list(METHODS), start="random", **rest)
    return runs + grid(scene=SCENES, n_channels=1, method="MU", start="random", **rest)
