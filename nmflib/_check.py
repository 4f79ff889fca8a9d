"""Checks of arguments: an array or a number the algorithms can rely on, or a ValueError that names the argument."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def as_real(x: ArrayLike, name: str, ndim: int | None = None) -> Array:
    """x as a finite array of float64, or of float32 if it is that already."""
    array = _finite(np.asarray(x), name, ndim, "biuf")
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def as_nonnegative(x: ArrayLike, name: str, ndim: int | None = None) -> Array:
    """x as a finite array >= 0 of float64, or of float32 if it is that already."""
    if np.iscomplexobj(x):
        raise ValueError(f"{name} is complex; NMF needs real numbers >= 0: take np.abs(...) or its square")
    array = as_real(x, name, ndim)
    negative = int(np.count_nonzero(array < 0))
    if negative:
        raise ValueError(f"{name} has {negative} negative entries; NMF needs {name} >= 0")
    return array


def _finite(array: Array, name: str, ndim: int | None, kinds: str) -> Array:
    """The array itself, if it has entries, all of them finite numbers of one of these kinds of type."""
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} is of type {array.dtype}; it must be {'complex' if 'c' in kinds else 'real'} numbers")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}; it must have {ndim} dimensions")
    if array.size == 0:
        raise ValueError(f"{name} is empty, its shape is {array.shape}")
    not_finite = array.size - int(np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise ValueError(f"{name} has {not_finite} NaN or infinite entries; it must be finite")
    return array


def as_factor(x: ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    """x as a finite float64 array >= 0 of this shape."""
    factor = as_nonnegative(x, name).astype(float)
    if factor.shape != shape:
        raise ValueError(f"{name} has shape {factor.shape}; it must be {shape}")
    return factor


def as_beta(beta: float) -> float:
    """beta as a finite float; within 1e-8 of 0 or 1 it becomes 0 or 1, because the general formula cancels there."""
    beta = as_finite_number(beta, "beta")
    return next((float(k) for k in (0, 1) if abs(beta - k) < 1e-8), beta)


def as_finite_number(x: float, name: str) -> float:
    """x as a finite float."""
    try:
        number = float(x)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {x!r}; it must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}; it must be finite")
    return number


def as_count(x: int, name: str, least: int) -> int:
    """x as an integer >= least."""
    with suppress(TypeError):
        if not isinstance(x, bool | np.bool_) and (count := index(x)) >= least:
            return count
    raise ValueError(f"{name} is {x!r}; it must be an integer >= {least}")


def check_choice(value: str, name: str, allowed: Sequence[str]) -> None:
    """Raise a ValueError unless `value` is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {tuple(allowed)}")


def as_stft(X: ArrayLike, name: str = "X", ndim: int = 3) -> Array:
    """X as a finite array of complex128, or of complex64 if its precision is single."""
    array = _finite(np.asarray(X), name, ndim, "biufc")
    return array.astype(np.complex64 if array.dtype in (np.complex64, np.float32) else np.complex128)


def as_channels(X: ArrayLike) -> Array:
    """X as an STFT (n_channels, n_freq, n_frames).

    An array with more than 8 channels, and with more channels than bins or frames, has its axes in another order.
    """
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
    """X as an STFT (n_channels, n_freq, n_frames) whose powers can be represented."""
    return in_range(as_channels(X), "X")


def in_range(array: Array, name: str) -> Array:
    """The array itself, if its precision can represent its powers."""
    peak, most = float(np.abs(array).max()), 1e15 if array.dtype == np.complex64 else 1e140
    if peak > most:
        raise ValueError(f"{name} reaches {peak:.1e}; its powers overflow above {most:.0e}")
    if 0 < peak < 1 / most:
        raise ValueError(f"{name} reaches {peak:.1e}; its powers underflow below {1 / most:.0e} in {array.dtype}")
    return array
