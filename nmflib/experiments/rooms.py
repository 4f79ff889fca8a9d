"""Simulated rooms: a box by image sources (pyroomacoustics)."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


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
    room = pyroomacoustics.ShoeBox(
        size,
        fs=sample_rate,
        materials=pyroomacoustics.Material(absorption),
        max_order=order if max_order is None else max_order,
    )
    for place, signal in zip(sources, signals or [None] * len(sources), strict=True):
        room.add_source(place, signal=signal)
    room.add_microphone_array(np.asarray(microphones).T)
    return room
