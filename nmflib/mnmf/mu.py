"""Multiplicative updates for the powers of every channel. Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._arrays import SILENCE_FLOOR, chunks, every_bin, power_of, safe_ratio
from nmflib._check import Array, as_count, as_mixture, check_choice
from nmflib._loop import run
from nmflib._nmf import V_FLOOR
from nmflib._objective import sum_log
from nmflib.mnmf.model import MNMF, Callback, Groups, MNMFInit, fitted, normalise_WH
from nmflib.mnmf.start import MIXINGS, check_start

ORDERS = ("paper", "joint")


def mnmf_mu(
    X: ArrayLike,
    n_sources: int,
    n_components: int | Sequence[int],
    *,
    mixing: str = "convolutive",
    order: str = "paper",
    n_iter: int = 200,
    init: MNMFInit | None = None,
    rng: int | np.random.Generator = 0,
    callback: Callback | None = None,
) -> MNMF:
    """Fit the powers of every channel by multiplicative updates: cost C2 = Σ d_IS(|x_i|² | v̂_i), v̂_i = Σ_j q_ij p_j.

    X : (n_channels, n_freq, n_frames) STFT; any number of channels and sources
    n_components : components per source, one number or one per source
    mixing : "convolutive", mixing powers per bin, or "instantaneous", the same ones for all bins
    order : "paper" updates one source after the other and never raises the cost; "joint" updates all q at once, then
        all W, then all H, which is faster and takes a slightly different path
    init : the initial values; None: `initialise(X, n_sources, n_components, "random", rng=rng)`
    callback : called as callback(iteration, model) after every iteration, with the MNMF so far

    The result has Σ_i q_ij = 1 and Σ_f w_fk = 1. A complex64 X gives float32 results.
    Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 8)) + 1j * rng.standard_normal((2, 5, 8))
    >>> model = mnmf_mu(X, 3, 2, n_iter=10)
    >>> model.Q.shape, model.images(X).shape, bool(np.all(np.diff(model.cost) < 0))
    ((5, 2, 3), (3, 2, 5, 8), True)
    """
    X, n_iter = as_mixture(X), as_count(n_iter, "n_iter", least=0)
    check_choice(mixing, "mixing", MIXINGS)
    check_choice(order, "order", ORDERS)
    start = check_start(X, n_sources, n_components, mixing, init, np.random.default_rng(rng))
    blocks = [slice(j, j + 1) for j in range(n_sources)] if order == "paper" else [slice(0, n_sources)]

    V = power_of(start.x)
    Q, W, H = _lifted_in_silence(V, start.Q, start.W, start.H)

    def model(parameters: tuple[Array, Array, Array], cost: Array) -> MNMF:
        # only the result is normalised: the rules do not depend on how q, W and H share the scale
        Q, W, H = parameters if len(cost) == 1 else _normalise_Q(*parameters, start.groups)
        return fitted(start.source_of_component, W, H, cost, (start.exponent, X.dtype), Q=Q)

    return run(_mu(ChannelwiseObjective(V, start.groups), Q, W, H, blocks), n_iter, model, callback)


def _mu(
    objective: ChannelwiseObjective, Q: Array, W: Array, H: Array, blocks: list[slice]
) -> Iterator[tuple[tuple[Array, Array, Array], float]]:
    """Update q (38), W (39) and H (40), each block by block of sources; yield (q, W, H) and C2 of every iterate.

    Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.
    """
    objective.set_P(W, H, slice(None))
    parts, C2 = objective.gradient_Q(Q)
    while True:
        yield (Q, W, H), C2
        for block in blocks:
            if block.start:  # the first block uses the parts that came with the cost
                parts, _ = objective.gradient_Q(Q, cost=False)
            Q = update_Q(parts, Q, block)
        for block in blocks:
            W = update_W(objective, Q, W, H, block)
            objective.set_P(W, H, block)
        for block in blocks:
            H = update_H(objective, Q, W, H, block)
            objective.set_P(W, H, block)
        parts, C2 = objective.gradient_Q(Q)


def _lifted_in_silence(V: Array, Q: Array, W: Array, H: Array) -> tuple[Array, Array, Array]:
    """Q, W and H, at least V_FLOOR times their mean where a channel of a bin, a bin or a frame is silent.

    V : (F, I, N), Q : (F, I, J) or (I, J), W : (F, K), H : (K, N)
    """
    silent = V <= V_FLOOR * V.mean()
    channels = silent.all(axis=2) if Q.ndim == 3 else silent.all(axis=(0, 2))
    Q, W, H = (
        np.where(where, np.maximum(M, V_FLOOR * M.mean()), M)
        for M, where in (
            (Q, channels[..., np.newaxis]),
            (W, silent.all(axis=(1, 2))[:, np.newaxis]),
            (H, silent.all(axis=(0, 1))),
        )
    )
    return Q, W, H


class ChannelwiseObjective:
    """The cost C2 of V̂ for V, and the ratios 1 / v̂ and v / v̂² of the multiplicative rules, a few bins at a time.

    V : (F, I, N); P : (F, J, N) the source powers W_j H_j; groups : the components K_j of every source
    Ozerov & Févotte 2010, (30)–(31), doi:10.1109/TASL.2009.2031510.
    """

    def __init__(self, V: Array, groups: Groups) -> None:
        self.V = np.maximum(V, max(V_FLOOR * V.mean(), SILENCE_FLOOR**2))
        self.groups = groups
        self.P = np.empty((V.shape[0], len(groups), V.shape[2]))
        self._chunks = chunks(V.shape[0], V.shape[2])
        self._buffers = np.empty((2, *V[self._chunks[0]].shape))
        self._constant = sum_log(self.V) + V.size

    def set_P(self, W: Array, H: Array, sources: slice) -> None:
        """p_j = W_j H_j for the j in `sources`. W : (F, K), H : (K, N)"""
        for j in range(len(self.groups))[sources]:
            np.matmul(W[:, self.groups[j]], H[self.groups[j]], out=self.P[:, j])

    def ratios(self, Q: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Slices of bins with their v / v̂² and 1 / v̂, (f, I, N), where v̂_i = Σ_j q_ij p_j. Q : (F, I, J) or (I, J)"""
        Q = every_bin(Q, len(self.V))
        for bins in self._chunks:
            V = self.V[bins]
            ratio, inverse = self._buffers[:, : len(V)]
            np.matmul(Q[bins], self.P[bins], out=inverse)
            inverse += SILENCE_FLOOR**2
            np.divide(1, inverse, out=inverse)
            np.multiply(V, inverse, out=ratio)
            ratio *= inverse
            yield bins, ratio, inverse

    def gradient_Q(self, Q: Array, cost: bool = True) -> tuple[tuple[Array, Array], float]:
        """Σ_n v̂_i⁻² v_i p_j and Σ_n v̂_i⁻¹ p_j, (F, I, J), and C2 = Σ v / v̂ − log(v / v̂) − 1 if `cost`."""
        n_freq, n_channels, _ = self.V.shape
        numerator, denominator = np.empty((2, n_freq, n_channels, len(self.groups)))
        C2 = -self._constant
        for bins, ratio, inverse in self.ratios(Q):
            P = self.P[bins].transpose(0, 2, 1)
            np.matmul(ratio, P, out=numerator[bins])
            np.matmul(inverse, P, out=denominator[bins])
            if cost:
                C2 += float(np.vdot(self.V[bins], inverse)) - sum_log(inverse)
        return (numerator, denominator), C2

    def components(self, Q: Array, sources: slice) -> tuple[NDArray[np.intp], Array]:
        """The k components of the j in `sources`, and for each of them the q_ij of its source, (F, I, k)."""
        owner = np.concatenate([np.full(len(K_j), j) for j, K_j in enumerate(self.groups)][sources])
        return np.concatenate(self.groups[sources]), every_bin(Q, len(self.V))[..., owner]


def update_Q(parts: tuple[Array, Array], Q: Array, sources: slice) -> Array:
    """q_ij ← q_ij · Σ_n v̂_i⁻² v_i p_j / Σ_n v̂_i⁻¹ p_j, for all i and the j in `sources`; instantaneous: Σ_fn.

    parts : the two sums over n, (F, I, J); Q : (F, I, J) or (I, J). All channels can be updated at once, as v̂_i depends
    on the q of its own channel only.
    Ozerov & Févotte 2010, (38), doi:10.1109/TASL.2009.2031510.
    """
    numerator, denominator = (part if Q.ndim == 3 else part.sum(axis=0) for part in parts)
    Q = Q.copy()
    Q[..., sources] *= safe_ratio(numerator[..., sources], denominator[..., sources])
    return Q


def update_W(objective: ChannelwiseObjective, Q: Array, W: Array, H: Array, sources: slice) -> Array:
    """W_j ← W_j · Σ_i q_ij (v̂_i⁻² v_i) H_jᵀ / Σ_i q_ij v̂_i⁻¹ H_jᵀ for the j in `sources`.

    Q : (F, I, J) or (I, J), W : (F, K), H : (K, N). Ozerov & Févotte 2010, (39), doi:10.1109/TASL.2009.2031510.
    """
    K, q = objective.components(Q, sources)
    H_T = np.ascontiguousarray(H[K].T)
    numerator, denominator = np.empty((2, len(W), len(K)))
    for bins, ratio, inverse in objective.ratios(Q):
        for part, sums in ((ratio, numerator), (inverse, denominator)):
            sums[bins] = (q[bins] * (part.reshape(-1, len(H_T)) @ H_T).reshape(q[bins].shape)).sum(axis=1)
    W = W.copy()
    W[:, K] *= safe_ratio(numerator, denominator)
    return W


def update_H(objective: ChannelwiseObjective, Q: Array, W: Array, H: Array, sources: slice) -> Array:
    """H_j ← H_j · Σ_i (diag(q_ij) W_j)ᵀ (v̂_i⁻² v_i) / Σ_i (diag(q_ij) W_j)ᵀ v̂_i⁻¹ for the j in `sources`.

    Q : (F, I, J) or (I, J), W : (F, K), H : (K, N). Ozerov & Févotte 2010, (40), doi:10.1109/TASL.2009.2031510.
    """
    K, q = objective.components(Q, sources)
    qW = q * W[:, np.newaxis, K]
    n_frames = H.shape[1]
    numerator, denominator = np.zeros((2, len(K), n_frames))
    for bins, ratio, inverse in objective.ratios(Q):
        qW_T = qW[bins].reshape(-1, len(K)).T  # the product with it sums over f and i
        numerator += qW_T @ ratio.reshape(-1, n_frames)
        denominator += qW_T @ inverse.reshape(-1, n_frames)
    H = H.copy()
    H[K] *= safe_ratio(numerator, denominator)
    return H


def _normalise_Q(Q: Array, W: Array, H: Array, groups: Groups) -> tuple[Array, Array, Array]:
    """The same model with Σ_i q_ij = 1 and Σ_f w_fk = 1; H takes the scale. Q : (F, I, J) or (I, J)"""
    energy = Q.sum(axis=-2)
    energy = np.where(energy > 0, energy, 1)
    return Q / energy[..., np.newaxis, :], *normalise_WH(energy, W, H, groups)
