"""Small array functions of the multichannel algorithms: source powers, shapes, scales, chunks of bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmflib._check import Array
from nmflib._unit import scale_exponent

SILENCE_FLOOR = 1e-24  # of the mean power of the recording: what counts as silence
CHUNK = 2**14  # entries (bins × frames) of a chunk, chosen so that its temporaries stay in the processor's cache


def source_powers(W: Array, H: Array, groups: list[NDArray[np.intp]]) -> Array:
    """p_j = W_j H_j, (J, F, N). W : (F, K), H : (K, N)"""
    return np.stack([W[:, K_j] @ H[K_j] for K_j in groups])


def normalise_WH(energy: Array, W: Array, H: Array, groups: list[NDArray[np.intp]]) -> tuple[Array, Array]:
    """W_j takes the scale `energy` (F, J) or (J,) of its source; then Σ_f w_fk = 1, the scale goes to H."""
    W = W.copy()
    for j, K_j in enumerate(groups):
        W[:, K_j] *= energy[..., j, np.newaxis]
    total = W.sum(axis=0)
    total = np.where(total > 0, total, 1)
    return W / total, H * total[:, np.newaxis]


def normalise_A(A: Array, W: Array, H: Array, groups: list[NDArray[np.intp]]) -> tuple[Array, Array, Array]:
    """a_1j >= 0 and Σ_i |a_ij|² = 1, the scale goes to W_j; then Σ_f w_fk = 1, the scale goes to H.

    A : (F, I, J) or (I, J), W : (F, K), H : (K, N). The model stays the same.
    """
    reference = A[..., :1, :]
    modulus = np.abs(reference)
    A = A * np.divide(reference.conj(), modulus, out=np.ones_like(reference), where=modulus > 1e-290)
    energy = (A.real**2 + A.imag**2).sum(axis=-2)
    energy = np.where(energy > 0, energy, 1)
    return A / np.sqrt(energy)[..., np.newaxis, :], *normalise_WH(energy, W, H, groups)


def every_bin(M: Array, n_freq: int) -> Array:
    """A or Q as (F, I, J), also when it is the same (I, J) for all bins."""
    return M if M.ndim == 3 else np.broadcast_to(M, (n_freq, *M.shape))


def chunks(n_freq: int, n_frames: int) -> list[slice]:
    """Slices of bins with about CHUNK entries each."""
    step = max(1, CHUNK // n_frames)
    return [slice(f, f + step) for f in range(0, n_freq, step)]


def unit_scale(X: Array) -> tuple[Array, int]:
    """X as (F, I, N) complex128 divided by 2^k, so that its mean magnitude is near 1, and k."""
    exponent = scale_exponent(np.abs(X))
    x = np.ascontiguousarray(X.transpose(1, 0, 2), dtype=complex)
    return np.ldexp(x.view(float), -exponent).view(complex), exponent


def bin_power(X: Array) -> Array:
    """mean_in |x|², (F,). X : (I, F, N)"""
    return (X.real.astype(float) ** 2 + X.imag.astype(float) ** 2).mean(axis=(0, 2))


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 1 where there is nothing to learn from, that is where both vanish."""
    return np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)


def power_of(z: Array) -> Array:
    """|z|²"""
    return z.real**2 + z.imag**2
