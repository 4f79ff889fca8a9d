"""The parameters of the multichannel model, and what a fitted model computes from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._arrays import SILENCE_FLOOR, chunks, every_bin, power_of
from nmflib._check import Array, as_count, as_stft
from nmflib._unit import scale_exponent
from nmflib.mnmf.posterior import square_root_posterior

Groups = list[NDArray[np.intp]]  # K_j, the components of each source


@dataclass(frozen=True, kw_only=True, eq=False)
class MNMFInit:
    """The parameters of a multichannel model, from which `mnmf_em` and `mnmf_mu` can start.

    W : (n_freq, K) spectra, H : (K, n_frames) activations, of all sources side by side
    source_of_component : (K,) the source of each component; None: the first ones belong to source 0, and so on
    A : mixing, (n_freq, n_channels, n_sources) complex, or (n_channels, n_sources) real if instantaneous
    Q : mixing powers >= 0, in the shapes of A. EM needs A (None: the square root of Q), MU needs Q (None: abs(A)²)
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
    """A fitted multichannel model: EM gives A and noise, MU gives Q, the others are None. It can serve as init.

    A, Q, W, H, source_of_component : as in MNMFInit; noise : (n_freq, n_channels)
    cost : (n_iter + 1,) the cost at the initial values and after every update
    """

    cost: NDArray[np.float64]

    def components(self) -> Array:
        """The products w_k h_k, the powers of all components before mixing, (K, n_freq, n_frames)."""
        return self.W.T[:, :, np.newaxis] * self.H[:, np.newaxis, :]

    def sources(self, X: ArrayLike) -> Array:
        """ŝ = Σ_s Aᴴ Σ_x⁻¹ x, (n_sources, n_freq, n_frames), of a model of EM. X : (n_channels, n_freq, n_frames)

        Ozerov & Févotte 2010, (15), doi:10.1109/TASL.2009.2031510.
        """
        if self.A is None or self.noise is None:
            raise ValueError("X cannot be turned into sources by a model of MU: Q holds no phases; use images(X)")
        X = self._check(X)
        x = X.astype(complex).transpose(1, 0, 2)
        P = self._powers(float)
        exponent = scale_exponent(P)  # a common factor of P and Σ_b cancels
        P, Sigma_b = np.ldexp(P, -exponent), np.ldexp(self.noise.astype(float), -exponent)
        Sigma_b = np.maximum(Sigma_b, SILENCE_FLOOR**2)  # single precision may have rounded it to zero
        A = every_bin(self.A, X.shape[1]).astype(complex)
        S = np.empty(P.shape, complex)
        for bins in chunks(*P.shape[1:]):
            S[:, bins] = np.sqrt(P[:, bins]) * square_root_posterior(x[bins], A[bins], P[:, bins], Sigma_b[bins]).mean
        return S.astype(X.dtype)

    def images(self, X: ArrayLike) -> Array:
        """The image of each source at each microphone, (n_sources, n_channels, n_freq, n_frames).

        X : (n_channels, n_freq, n_frames). EM: a_ij ŝ_j; MU: the mask q_ij p_j / v̂_i times x_i.
        What those of EM leave of X, `residual(X)`, is the posterior mean of the noise; those of MU sum to X.
        Ozerov & Févotte 2010, (42), doi:10.1109/TASL.2009.2031510.
        """
        mixing = every_bin(self._mixing(), len(self.W)).transpose(2, 1, 0)[..., np.newaxis]  # (J, I, F, 1)
        if self.Q is None:
            return mixing * self.sources(X)[:, np.newaxis]
        X = self._check(X)
        powers = mixing * self._powers(self.W.dtype)[:, np.newaxis]
        V_hat = powers.sum(axis=0)
        return np.divide(powers, V_hat, out=np.full_like(powers, 1 / len(powers)), where=V_hat > 0) * X

    def residual(self, X: ArrayLike) -> Array:
        """What the images leave of X, (n_channels, n_freq, n_frames)."""
        return as_stft(X) - self.images(X).sum(axis=0)

    def _mixing(self) -> Array:
        """Q, or A if there is none."""
        mixing = self.A if self.Q is None else self.Q
        assert mixing is not None
        return mixing

    def _powers(self, dtype: Any) -> Array:
        """p_j = W_j H_j in this precision, (J, F, N)."""
        n_sources = self._mixing().shape[-1]
        groups = [np.flatnonzero(self.source_of_component == j) for j in range(n_sources)]
        return source_powers(self.W.astype(dtype), self.H.astype(dtype), groups)

    def _check(self, X: ArrayLike) -> Array:
        """X as an STFT, if it has the shape to which the model was fitted."""
        array, expected = as_stft(X), (self._mixing().shape[-2], self.W.shape[0], self.H.shape[1])
        if array.shape != expected:
            raise ValueError(f"X has shape {array.shape}; this model was fitted to {expected}")
        return array


Callback = Callable[[int, MNMF], object]


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


def fitted(
    source_of_component: NDArray[np.intp], W: Array, H: Array, cost: Array, unit: tuple[int, np.dtype[Any]],
    A: Array | None = None, Q: Array | None = None, Sigma_b: Array | None = None
) -> MNMF:  # fmt: skip
    """The model in the scale and precision of X; unit : the k of the 2^k by which X was divided, and the type of X"""
    exponent, dtype = unit
    real = np.empty(0, dtype).real.dtype
    return MNMF(
        A=None if A is None else A.astype(dtype if np.iscomplexobj(A) else real),
        Q=None if Q is None else Q.astype(real),
        W=W.astype(real),
        H=np.ldexp(H, 2 * exponent).astype(real),
        noise=None if Sigma_b is None else np.ldexp(Sigma_b, 2 * exponent).astype(real),
        source_of_component=source_of_component,
        cost=cost.copy(),
    )


def components_of_sources(n_components: int | Sequence[int], n_sources: int) -> NDArray[np.intp]:
    """The source of each component, from one number of components for all sources or one per source.

    >>> components_of_sources([2, 1, 3], 3).tolist()
    [0, 0, 1, 2, 2, 2]
    """
    numbers = list(n_components) if isinstance(n_components, Sequence | np.ndarray) else [n_components] * n_sources
    if len(numbers) != n_sources:
        raise ValueError(
            f"n_components has {len(numbers)} entries; it must be one number, or {n_sources}, one per source"
        )
    return np.repeat(np.arange(n_sources), [as_count(n, "n_components", least=1) for n in numbers])
