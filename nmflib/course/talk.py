"""The measures of the talk, and the samples near the switching times of its gates."""

from __future__ import annotations

import numpy as np

from nmflib._check import Array


def talk_error(mixture: Array, estimates: Array) -> float:
    """The talk's error (1/N) Σ |y − (ŝ₁ + ŝ₂)|, the difference between the mixture and the sum of the estimates.

    mixture : (n_samples,); estimates : (n_sources, n_samples). It does not measure the error of each source.

    >>> talk_error([1.0, 1.0], [[0.5, 0.5], [0.5, 0.0]])
    0.25
    """
    return float(np.mean(np.abs(np.asarray(mixture) - np.sum(estimates, axis=0))))


def talk_correlation(signal: Array, estimate: Array) -> float:
    """The talk's "correlation": the inner product <signal, estimate>, which grows with the scale of both."""
    return float(np.vdot(np.asarray(signal, dtype=float), np.asarray(estimate, dtype=float)))


def near(n_samples: int, times: Array, sample_rate: float, half_width: float) -> Array:
    """True for the samples within half_width seconds of one of the times, (n_samples,)."""
    times = np.asarray(times, dtype=float)
    if times.size == 0:
        return np.zeros(n_samples, dtype=bool)
    t = np.arange(n_samples) / sample_rate
    after = np.clip(np.searchsorted(times, t), 1, len(times)) - 1
    distance = np.minimum(np.abs(t - times[after]), np.abs(t - times[np.minimum(after + 1, len(times) - 1)]))
    return distance <= half_width
