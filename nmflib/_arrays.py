"""Small array functions of the multichannel algorithms: powers, shapes, chunks of bins."""

from __future__ import annotations

import numpy as np

from nmflib._check import Array

SILENCE_FLOOR = 1e-24  # of the mean power of the recording: anything below it counts as silence
CHUNK = 2**14  # entries (bins × frames) of a chunk; its temporaries then stay in the processor's cache


def every_bin(M: Array, n_freq: int) -> Array:
    """A or Q as (F, I, J), also when one (I, J) serves all bins."""
    return M if M.ndim == 3 else np.broadcast_to(M, (n_freq, *M.shape))


def chunks(n_freq: int, n_frames: int) -> list[slice]:
    """Slices of bins with about CHUNK entries each."""
    step = max(1, CHUNK // n_frames)
    return [slice(f, f + step) for f in range(0, n_freq, step)]


def bin_power(X: Array) -> Array:
    """mean_in |x|², (F,). X : (I, F, N)"""
    return power_of(X.astype(complex)).mean(axis=(0, 2))


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 1 where both vanish, so that an update leaves the parameter as it is."""
    return np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)


def power_of(z: Array) -> Array:
    """|z|²"""
    return z.real**2 + z.imag**2
