"""Scaling by a power of two, which loses no digit: the loops see data with a mean near 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nmflib._check import Array


def scale_exponent(x: Array) -> int:
    """The integer k for which x / 2^k has its mean in [1/2, 1); 0 when x >= 0 is empty or all zero.

    Dividing by 2^k keeps every digit: computing on x / 2^k instead of x changes nothing but over- and underflow.

    >>> scale_exponent(np.array([1000.0, 1040.0]))
    10
    """
    peak = float(x.max(initial=0))
    if peak == 0:
        return 0
    k = 0 if 1e-200 < peak < 1e200 else math.frexp(peak)[1]  # the sum is not to overflow
    return k + math.frexp(float(np.ldexp(x, -k, dtype=float).mean() if k else x.mean(dtype=float)))[1]


def rescale(cost: Any, exponent: int, beta: float) -> Any:
    """The divergence of data that had been divided by 2^exponent: a common factor c multiplies it by c^β.

    cost : a number or an array; what is too large to be represented becomes infinite
    """
    half = 2.0 ** min(max(exponent * beta / 2, -1000.0), 1000.0)
    with np.errstate(over="ignore"):
        return np.multiply(cost, half) * half


def times_power_of_two(X: Array, exponent: int) -> Array:
    """2^exponent X of complex X, also where 2^exponent cannot be represented."""
    return np.ldexp(np.ascontiguousarray(X).view(float), exponent).view(complex)
