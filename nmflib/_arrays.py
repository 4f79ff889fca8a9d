"""Small array functions of the multichannel algorithms: source powers, shapes, scales, chunks of bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmflib._check import Array
from nmflib._unit import scale_exponent, times_power_of_two

Groups = list[NDArray[np.intp]]  # K_j, the components of each source

SILENCE_FLOOR = 1e-24  # of the mean power of the recording: anything below it counts as silence
CHUNK = 2**14  # entries (bins × frames) of a chunk; its temporaries then stay in the processor's cache


def source_powers(W: Array, H: Array, groups: Groups) -> Array:
    """p_j = W_j H_j, (J, F, N). W : (F, K), H : (K, N)"""
    return np.stack([W[:, K_j] @ H[K_j] for K_j in groups])


def normalise_WH(energy: Array, W: Array, H: Array, groups: Groups) -> tuple[Array, Array]:
    """W_j times the scale `energy` (F, J) or (J,) of its source; then Σ_f w_fk = 1, and H takes that scale."""
    W = W.copy()
    for j, K_j in enumerate(groups):
        W[:, K_j] *= energy[..., j, np.newaxis]
    total = W.sum(axis=0)
    total = np.where(total > 0, total, 1)
    return W / total, H * total[:, np.newaxis]


def normalise_A(A: Array, W: Array, H: Array, groups: Groups) -> tuple[Array, Array, Array]:
    """The same model with a_1j >= 0, Σ_i |a_ij|² = 1 and Σ_f w_fk = 1; H takes the scale.

    A : (F, I, J) or (I, J), W : (F, K), H : (K, N)
    """
    reference = A[..., :1, :]
    modulus = np.abs(reference)
    A = A * np.divide(reference.conj(), modulus, out=np.ones_like(reference), where=modulus > 1e-290)
    energy = power_of(A).sum(axis=-2)
    energy = np.where(energy > 0, energy, 1)
    return A / np.sqrt(energy)[..., np.newaxis, :], *normalise_WH(energy, W, H, groups)


def every_bin(M: Array, n_freq: int) -> Array:
    """A or Q as (F, I, J), also when one (I, J) serves all bins."""
    return M if M.ndim == 3 else np.broadcast_to(M, (n_freq, *M.shape))


def chunks(n_freq: int, n_frames: int) -> list[slice]:
    """Slices of bins with about CHUNK entries each."""
    step = max(1, CHUNK // n_frames)
    return [slice(f, f + step) for f in range(0, n_freq, step)]


def unit_scale(X: Array) -> tuple[Array, int]:
    """X / 2^k as (F, I, N) complex128 with a mean magnitude near 1, and k."""
    exponent = scale_exponent(np.abs(X))
    return times_power_of_two(X.transpose(1, 0, 2).astype(complex), -exponent), exponent


def bin_power(X: Array) -> Array:
    """mean_in |x|², (F,). X : (I, F, N)"""
    return power_of(X.astype(complex)).mean(axis=(0, 2))


def safe_ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 1 where both vanish, so that an update leaves the parameter as it is."""
    return np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)


def power_of(z: Array) -> Array:
    """|z|²"""
    return z.real**2 + z.imag**2
