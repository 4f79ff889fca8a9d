"""Arguments become arrays and numbers that the algorithms can rely on, or a ValueError that names them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def as_nonnegative(x: ArrayLike, name: str, ndim: int | None = None) -> Array:
    """x as a real, finite, non-negative float array (float32 stays float32), or a ValueError that names it."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        kind = "complex; take np.abs(...) or its square" if array.dtype.kind == "c" else f"of type {array.dtype}"
        raise ValueError(f"{name} is {kind}; NMF needs real numbers >= 0")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}; it must have {ndim} dimensions")
    if array.size == 0:
        raise ValueError(f"{name} is empty, its shape is {array.shape}")
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    not_finite = array.size - int(np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise ValueError(f"{name} has {not_finite} NaN or infinite entries; NMF needs finite numbers >= 0")
    negative = int(np.count_nonzero(array < 0))
    if negative:
        raise ValueError(f"{name} has {negative} negative entries; NMF needs {name} >= 0")
    return array


def as_factor(x: ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    """A non-negative initial array of the right shape in double precision, or a ValueError."""
    factor = as_nonnegative(x, name).astype(float)
    if factor.shape != shape:
        raise ValueError(f"{name} has shape {factor.shape}; it must be {shape}")
    return factor


def as_beta(beta: float) -> float:
    """beta as a finite float; within 1e-8 of 0 or 1 it is taken as 0 or 1, since the general formula cancels there."""
    beta = as_finite_number(beta, "beta")
    nearest = float(round(beta)) if abs(beta) < 2 else beta
    return nearest if nearest in (0, 1) and abs(beta - nearest) < 1e-8 else beta


def as_finite_number(x: float, name: str) -> float:
    """x as a finite float, or a ValueError that names it."""
    try:
        number = float(x)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {x!r}; it must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}; it must be finite")
    return number


def as_count(x: int, name: str, least: int) -> int:
    """x as an integer >= least, or a ValueError that names it."""
    with suppress(TypeError):
        if not isinstance(x, bool | np.bool_) and (count := index(x)) >= least:
            return count
    raise ValueError(f"{name} is {x!r}; it must be an integer >= {least}")


def check_choice(value: str, name: str, allowed: Sequence[str]) -> None:
    """A ValueError unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {tuple(allowed)}")


def as_stft(X: ArrayLike, name: str = "X", ndim: int = 3) -> Array:
    """X as a finite complex array (n_channels, n_freq, n_frames), single precision staying single, or a ValueError."""
    array = np.asarray(X)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{name} is of type {array.dtype}; it must be complex numbers")
    if array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}; it must have {ndim} dimensions")
    if array.size == 0:
        raise ValueError(f"{name} is empty, its shape is {array.shape}")
    array = array.astype(np.complex64 if array.dtype in (np.complex64, np.float32) else np.complex128)
    not_finite = array.size - int(np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise ValueError(f"{name} has {not_finite} NaN or infinite entries; it must be finite")
    return array


def as_channels(X: ArrayLike) -> Array:
    """A mixture as `as_stft` gives it; more than 8 channels, and more than bins or frames, are another axis order."""
    array = as_stft(X)
    n_channels, n_freq, n_frames = array.shape
    if n_channels > max(8, min(n_freq, n_frames)):
        few = f"{n_frames} frames" if n_frames <= n_freq else f"{n_freq} bins"
        raise ValueError(
            f"X has shape {array.shape}; {n_channels} channels and {few} look like another order than (n_channels, "
            "n_freq, n_frames); X.transpose(2, 1, 0) makes it from (n_frames, n_freq, n_channels)"
        )
    return array


def as_mixture(X: ArrayLike) -> Array:
    """X as `as_channels` gives it, when its powers can be represented, or a ValueError."""
    return in_range(as_channels(X), "X")


def in_range(array: Array, name: str) -> Array:
    """The array itself, when its powers can be represented in its precision, or a ValueError."""
    peak, most = float(np.abs(array).max()), 1e15 if array.dtype == np.complex64 else 1e140
    if peak > most:
        raise ValueError(f"{name} reaches {peak:.1e}; its powers overflow above {most:.0e}")
    if 0 < peak < 1 / most:
        raise ValueError(f"{name} reaches {peak:.1e}; its powers underflow below {1 / most:.0e} in {array.dtype}")
    return array
