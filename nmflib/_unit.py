"""Scaling by a power of two, which loses no digit: the algorithms work on data with a mean near 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def scale_exponent(x: Array) -> int:
    """The integer k for which x / 2^k has its mean in [1/2, 1); 0 if x >= 0 is empty or all zero.

    >>> scale_exponent(np.array([1000.0, 1040.0]))
    10
    """
    peak = float(x.max(initial=0))
    if peak == 0:
        return 0
    k = 0 if 1e-200 < peak < 1e200 else math.frexp(peak)[1]  # keeps the sum from overflowing
    return k + math.frexp(float(np.ldexp(x, -k, dtype=float).mean() if k else x.mean(dtype=float)))[1]


def rescale(cost: Any, exponent: int, beta: float) -> Any:
    """The β-divergence of data that had been divided by 2^exponent; it is infinite where it is too large for a float.

    A common factor c multiplies the divergence by c^β.
    """
    half = 2.0 ** min(max(exponent * beta / 2, -1000.0), 1000.0)
    with np.errstate(over="ignore"):
        return np.multiply(cost, half) * half


def times_power_of_two(X: Array, exponent: int) -> Array:
    """2^exponent X of a complex128 X, even where 2^exponent itself cannot be represented."""
    return np.ldexp(np.ascontiguousarray(X).view(float), exponent).view(complex)


def unit_scale(X: Array) -> tuple[Array, int]:
    """X / 2^k as (F, I, N) complex128 with a mean magnitude near 1, and k."""
    exponent = scale_exponent(np.abs(X))
    return times_power_of_two(X.transpose(1, 0, 2).astype(complex), -exponent), exponent
