"""Simulated mixtures: rooms, which are boxes by image sources (pyroomacoustics), and panning by levels alone."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array


def shoe_box(
    size: ArrayLike,
    rt60: float,
    sample_rate: int,
    sources: Iterable[ArrayLike],
    microphones: ArrayLike,
    *,
    signals: Iterable[ArrayLike | None] | None = None,
    max_order: int | None = None,
) -> Any:
    """The pyroomacoustics room of `size` (3,) with its sources and microphones, positions (3,) each, all in m.

    rt60 : reverberation time in s, which sets the absorption after Sabine; 0: no walls
    signals : one (n_samples,) per source; `simulate(return_premix=True)` then gives the images (J, I, n_samples)
    max_order : how many reflections are followed; None: those of the reverberation time
    """
    import pyroomacoustics

    sources = list(sources)
    absorption, order = pyroomacoustics.inverse_sabine(rt60, size) if rt60 else (1.0, 0)
    materials = pyroomacoustics.Material(absorption)
    order = order if max_order is None else max_order
    room = pyroomacoustics.ShoeBox(size, fs=sample_rate, materials=materials, max_order=order)
    for place, signal in zip(sources, signals or [None] * len(sources), strict=True):
        room.add_source(place, signal=signal)
    room.add_microphone_array(np.asarray(microphones).T)
    return room


def directions(n: int, least: float, rng: np.random.Generator, low: float = 0, high: float = 90) -> Array:
    """n directions between `low` and `high`, at least `least` apart, drawn with `rng`; all in degrees."""
    angles = np.zeros(n)
    while np.diff(np.sort(angles)).min() < least:
        angles = rng.uniform(low, high, n)
    return angles


def panned_images(signals: ArrayLike, angles: ArrayLike) -> Array:
    """Images (J, 2, n_samples) of signals (J, n_samples) in directions θ in degrees: gains cos θ and sin θ."""
    theta = np.deg2rad(angles)
    return np.stack([np.cos(theta), np.sin(theta)], axis=1)[:, :, np.newaxis] * np.asarray(signals)[:, np.newaxis]
