"""The parameters of the multichannel model, what a fitted one gives, and what all its algorithms share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._check import Array, as_count, as_stft
from nmflib._unit import scale_exponent
from nmflib.mnmf.arrays import SILENCE_FLOOR, chunks, every_bin, source_powers
from nmflib.mnmf.posterior import square_root_posterior


@dataclass(frozen=True, kw_only=True, eq=False)
class MNMFInit:
    """The parameters of a multichannel model, to start `mnmf_em` and `mnmf_mu` from.

    W : (n_freq, K) spectra, H : (K, n_frames) activations, of all sources side by side
    source_of_component : (K,) the source each component belongs to; None: the first ones to source 0, and so on
    A : mixing, (n_freq, n_channels, n_sources) complex, or (n_channels, n_sources) real when instantaneous
    Q : mixing powers, the shapes of A, >= 0. EM needs A (None: the square root of Q), MU needs Q (None: abs(A)²)
    noise : (n_freq, n_channels) or (n_freq,) noise variances for EM; None: mean power of the bin / 100
    """

    W: Array
    H: Array
    source_of_component: NDArray[np.intp] | None = None
    A: Array | None = None
    Q: Array | None = None
    noise: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MNMF(MNMFInit):
    """A fitted multichannel model: A and noise from EM, Q from MU, None where it does not apply. It can serve as init.

    A, Q, W, H, source_of_component : as in MNMFInit; noise : (n_freq, n_channels)
    cost : (n_iter + 1,) the cost of the initial values and after every update
    """

    cost: NDArray[np.float64]

    def components(self) -> Array:
        """The products w_k h_k, the powers of all components before mixing, (K, n_freq, n_frames)."""
        return self.W.T[:, :, np.newaxis] * self.H[:, np.newaxis, :]

    def sources(self, X: ArrayLike) -> Array:
        """ŝ = Σ_s Aᴴ Σ_x⁻¹ x, (n_sources, n_freq, n_frames). X : (n_channels, n_freq, n_frames). EM only.

        Ozerov & Févotte 2010, (15), doi:10.1109/TASL.2009.2031510.
        """
        if self.A is None:
            raise ValueError("X cannot be turned into sources by a model of MU: Q holds no phases; use images(X)")
        X = self._check(X)
        x = X.astype(complex).transpose(1, 0, 2)
        P = source_powers(self.W.astype(float), self.H.astype(float), groups_of(self, self.A.shape[-1]))
        exponent = scale_exponent(P)  # a common factor of P and Σ_b cancels
        P, Sigma_b = np.ldexp(P, -exponent), np.ldexp(not_none(self.noise).astype(float), -exponent)
        Sigma_b = np.maximum(Sigma_b, SILENCE_FLOOR**2)  # single precision may have rounded it to zero
        A = every_bin(self.A, X.shape[1]).astype(complex)
        S = np.empty(P.shape, complex)
        for bins in chunks(*P.shape[1:]):
            S[:, bins] = np.sqrt(P[:, bins]) * square_root_posterior(x[bins], A[bins], P[:, bins], Sigma_b[bins]).mean
        return S.astype(X.dtype)

    def images(self, X: ArrayLike) -> Array:
        """What each microphone hears of each source, (n_sources, n_channels, n_freq, n_frames).

        X : (n_channels, n_freq, n_frames). EM: a_ij ŝ_j; MU: the mask q_ij p_j / v̂_i times x_i.
        The images and `residual(X)` sum to X. Ozerov & Févotte 2010, (42), doi:10.1109/TASL.2009.2031510.
        """
        if self.Q is None:
            S = self.sources(X)
            A = every_bin(not_none(self.A), S.shape[1])
            return A.transpose(2, 1, 0)[..., np.newaxis] * S[:, np.newaxis]
        X = self._check(X)
        P = source_powers(self.W, self.H, groups_of(self, self.Q.shape[-1]))
        images = np.einsum("fij,jfn->jifn", every_bin(self.Q, X.shape[1]), P)
        V_hat = images.sum(axis=0)
        mask = np.divide(images, V_hat, out=np.full_like(images, 1 / len(images)), where=V_hat > 0)
        return mask * X

    def residual(self, X: ArrayLike) -> Array:
        """What the model calls noise, b̂ = Σ_b Σ_x⁻¹ x = x − Aŝ, (n_channels, n_freq, n_frames); MU leaves nothing."""
        return as_stft(X) - self.images(X).sum(axis=0)

    def _check(self, X: ArrayLike) -> Array:
        """X, when it has the shape that was fitted."""
        array = as_stft(X)
        n_channels = not_none(self.A if self.Q is None else self.Q).shape[-2]
        expected = (n_channels, self.W.shape[0], self.H.shape[1])
        if array.shape != expected:
            raise ValueError(f"X has shape {array.shape}; this model was fitted to {expected}")
        return array


Callback = Callable[[int, MNMF], object]


def fitted(
    start: MNMFInit,
    W: Array,
    H: Array,
    cost: Array,
    unit: tuple[int, np.dtype[Any]],
    A: Array | None = None,
    Q: Array | None = None,
    Sigma_b: Array | None = None,
) -> MNMF:
    """The model in the unit and the precision of X, which had been divided by 2^exponent; unit : (exponent, dtype)"""
    exponent, dtype = unit
    real = np.empty(0, dtype).real.dtype
    return MNMF(
        A=None if A is None else A.astype(dtype if np.iscomplexobj(A) else real),
        Q=None if Q is None else Q.astype(real),
        W=W.astype(real),
        H=np.ldexp(H, 2 * exponent).astype(real),
        noise=None if Sigma_b is None else np.ldexp(Sigma_b, 2 * exponent).astype(real),
        source_of_component=start.source_of_component,
        cost=cost.copy(),
    )


def groups_of(model: MNMFInit, n_sources: int) -> list[NDArray[np.intp]]:
    """K_j, the components of every source."""
    return [np.flatnonzero(not_none(model.source_of_component) == j) for j in range(n_sources)]


def not_none(x: Array | None) -> Array:
    """A field that the model at hand is known to have."""
    assert x is not None
    return x


def components_of_sources(n_components: int | Sequence[int], n_sources: int) -> NDArray[np.intp]:
    """The source each component belongs to, from one number of components for all sources or one per source.

    >>> components_of_sources([2, 1, 3], 3).tolist()
    [0, 0, 1, 2, 2, 2]
    """
    numbers = list(n_components) if isinstance(n_components, Sequence | np.ndarray) else [n_components] * n_sources
    if len(numbers) != n_sources:
        raise ValueError(
            f"n_components has {len(numbers)} entries; it must be one number, or {n_sources}, one per source"
        )
    return np.repeat(np.arange(n_sources), [as_count(n, "n_components", least=1) for n in numbers])
