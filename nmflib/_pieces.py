"""Windows in seconds, excerpts and pieces of long recordings, and the memory of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from nmflib._check import Array

Progress = Callable[[float], object]

WHOLE, EXCERPTS, EXCERPT = 60.0, 8, 5.0  # seconds learnt as a whole; else so many excerpts of so many seconds
PIECE, FADE = 20.0, 0.5  # seconds


def available_memory() -> float:
    """Bytes of memory of the machine, or what this process may have if that is less."""
    try:
        there = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (AttributeError, ImportError, ValueError, OSError):  # not on every system
        return np.inf
    return there if limit == resource.RLIM_INFINITY else min(there, float(limit))


def window(seconds: float, sample_rate: float) -> int:
    """The number of samples nearest to so many seconds that is a multiple of 4 and has prime factors up to 7."""

    def smooth(n: int) -> bool:
        for prime in (2, 3, 5, 7):
            while n % prime == 0:
                n //= prime
        return n == 1

    wanted = max(seconds * sample_rate / 4, 1.0)
    tried = range(max(int(0.9 * wanted), 1), int(1.1 * wanted) + 2)
    return 4 * min((n for n in tried if smooth(n)), key=lambda n: abs(n - wanted), default=max(round(wanted), 1))


def excerpts(x: Array, sample_rate: float) -> Array:
    """x (I, T), or EXCERPTS pieces spread evenly over it, one after the other, when it is longer than WHOLE."""
    if x.shape[1] <= WHOLE * sample_rate:
        return x
    length = int(EXCERPT * sample_rate)
    starts = np.linspace(0, x.shape[1] - length, EXCERPTS).astype(int)
    return np.concatenate([x[:, s : s + length] for s in starts], axis=1)


def in_pieces(
    x: Array, sample_rate: float, n_sources: int, function: Callable[[Array], Array], tell: Progress
) -> Array:
    """Images (J, I, T) of x by function, (I, t) -> (J, I, t), of pieces that are faded into each other."""
    n_samples = x.shape[1]
    if n_samples <= WHOLE * sample_rate:
        return function(x).astype(x.dtype)
    length, fade = int(PIECE * sample_rate), int(FADE * sample_rate)
    images = np.zeros((n_sources, *x.shape), x.dtype)
    for start in range(0, n_samples, length):
        here = slice(max(start - fade, 0), min(start + length + fade, n_samples))
        time = np.arange(here.start, here.stop)
        rise = np.clip((time - start + fade) / (2 * fade), 0, 1) if start else np.ones(len(time))
        fall = np.clip((start + length + fade - time) / (2 * fade), 0, 1) if here.stop < n_samples else 1.0
        images[..., here] += rise * fall * function(x[:, here])
        tell(min(here.stop / n_samples, 1.0))
    return images


def split(x: Array, sample_rate: float, rate: float) -> tuple[Array, Array | None]:
    """x (I, T) at a lower rate, and what of it that leaves out, at its own; (x, None) if its rate is not higher."""
    if sample_rate <= rate:
        return x, None
    low = resample(x, sample_rate, rate, x.shape[-1])
    return low, x - resample(low, rate, sample_rate, x.shape[-1])


def resample(x: Array, sample_rate: float, rate: float, n_samples: int) -> Array:
    """x (..., T) at another rate, no more than n_samples; without the uppermost 5 % of the band of the lower rate."""
    from scipy.signal import firwin, resample_poly

    ratio = Fraction(rate / sample_rate).limit_denominator(1000)
    longest = max(ratio.numerator, ratio.denominator)
    taps = firwin(200 * longest + 1, 0.975 / longest, window=("kaiser", 8.0)) if longest > 1 else np.ones(1)
    y = resample_poly(x, ratio.numerator, ratio.denominator, axis=-1, window=taps)[..., :n_samples]
    return y.astype(x.dtype)
