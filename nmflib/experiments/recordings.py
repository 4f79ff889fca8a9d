"""`separate_recording` on the simulated rooms of `blind_start`, at three sample rates.

Three sources have two microphones, or three in the same rooms. At 44.1 and 48 kHz the rooms are those at 16 kHz,
resampled; one in six is measured.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from nmflib import separate_recording
from nmflib.experiments.blind_start import RATE, scenes, timed
from nmflib.experiments.methods import image_sdr

SIZES = (2, 2), (3, 2), (3, 3)  # sources and channels
KEYS = ["rt60", "spacing", "clips"]
ONE_IN = {16000: 1, 44100: 6, 48000: 6}  # scenes of which one is measured at this rate
MEASURES = ["sdr", "worst_source", "thirds", "seconds"]  # thirds: SDR of the mixture / n_sources, which knows nothing


def measure(scene: str, half: str, n_sources: int, n_channels: int, rate: int, **_: Any) -> dict[str, float]:
    """The measures of one row: dB, and seconds of CPU."""
    images = scenes(half, n_sources, n_channels)[scene]["images"]
    if rate != RATE:
        images = resample_poly(images, rate // 100, RATE // 100, axis=-1)
    x = images.sum(0)
    estimates, seconds = timed(separate_recording, x, rate, n_sources)
    values, nothing = image_sdr(images, estimates), image_sdr(images, np.repeat(x[None] / n_sources, n_sources, axis=0))
    found = dict(zip(MEASURES, (np.mean(values), min(values), np.mean(nothing), seconds), strict=True))
    return {name: round(float(value), 1 if name == "seconds" else 2) for name, value in found.items()}


def experiments() -> Iterator[dict[str, Any]]:
    for half, rate, (n_sources, n_channels) in itertools.product(("unseen", "tuning"), ONE_IN, SIZES):
        for name, scene in list(scenes(half, n_sources, n_channels).items())[:: ONE_IN[rate]]:
            keys = {"scene": name, "half": half, "n_sources": n_sources, "n_channels": n_channels}
            yield keys | {key: scene[key] for key in KEYS} | {"rate": rate}
