"""Small array functions of the blind separation: covariances per bin, least-squares mixing, whitening, smoothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nmflib._arrays import power_of
from nmflib._check import Array

Seed = int | np.random.Generator
Progress = Callable[[float], object]  # called with the share of the work that is done, from 0 to 1

TINY = 1e-30
WHITENING_FLOOR = 1e-9  # of the power of a bin: the least variance of a direction when it is whitened


def covariance(A: Array, B: Array) -> Array:
    """(F, I, J) mean over frames of a_i conj(b_j)."""
    return (A.swapaxes(0, 1) @ B.conj().transpose(1, 2, 0)) / A.shape[2]


def mixing(X: Array, Y: Array, loading: float = 1e-13) -> Array:
    """(F, I, J) least-squares A of X = A Y; `loading` of the power of a bin is added to that of every output."""
    C = covariance(Y, Y)
    C = C + (loading * np.trace(C, axis1=1, axis2=2).real + TINY)[:, None, None] * np.eye(len(Y))
    return np.linalg.solve(C.swapaxes(1, 2), covariance(X, Y).swapaxes(1, 2)).swapaxes(1, 2)


def project_back(X: Array, Y: Array) -> Array:
    """Images (J, I, F, N): what each output explains of each channel, by least squares. They sum to X when I = J."""
    Y = Y.astype(complex)
    return np.einsum("fij,jfn->jifn", mixing(X, Y), Y)


def whiten(X: Array) -> Array:
    """(I, F, N) with covariance 1 in every bin; no direction counts as weaker than `WHITENING_FLOOR` of it."""
    C = covariance(X, X)
    trace = np.trace(C, axis1=1, axis2=2).real
    C = C + (WHITENING_FLOOR * trace + 1e-15 * trace.mean() + TINY)[:, None, None] * np.eye(len(X))
    values, U = np.linalg.eigh(C)
    return np.einsum("fij,jfn->ifn", (U / np.sqrt(values)[:, None]) @ U.conj().swapaxes(1, 2), X)


def with_noise_where_singular(X: Array) -> Array:
    """X (I, F, N) with white noise where a bin has fewer directions than channels, at what `whiten` takes as the least.

    Fewer sources than microphones without noise, equal channels: rounding would be what the last output hears.
    """
    C = covariance(X, X)
    trace = np.trace(C, axis1=1, axis2=2).real
    singular = np.linalg.eigvalsh(C)[:, 0] <= WHITENING_FLOOR * trace
    if not singular.any():
        return X
    noise = np.random.default_rng(0).standard_normal((2, *X.shape))
    deviation = np.sqrt(singular * (WHITENING_FLOOR * trace + 1e-15 * trace.mean()) / 2)
    return X + deviation[:, None] * (noise[0] + 1j * noise[1])


def unit_power(Y: Array) -> Array:
    """|Y|² (J, F, N) divided by its mean in every bin."""
    P = power_of(Y)
    return P / (P.mean(2, keepdims=True) + TINY)


def smooth(P: Array, width: int) -> Array:
    """Mean of P (..., F, N) over the bins f − width/2 … f + width/2 that exist."""
    F, half = P.shape[-2], min(width // 2, P.shape[-2] - 1)
    total, count = P.copy(), np.ones((F, 1), P.dtype)
    for o in range(1, half + 1):
        total[..., o:, :] += P[..., :-o, :]
        total[..., :-o, :] += P[..., o:, :]
        count[o:] += 1
        count[:-o] += 1
    return total / count


def unit_trace(B: Array) -> Array:
    """(..., I, I) with trace I; zeros stay zeros."""
    return B * (B.shape[-1] / (np.trace(B, axis1=-2, axis2=-1).real + TINY))[..., None, None]


def apply(B: Array, z: Array) -> Array:
    """(I, F, N) = B (F, I, I) times z (I, F, N) in every bin and frame."""
    return (B @ z.swapaxes(0, 1)).swapaxes(0, 1)
