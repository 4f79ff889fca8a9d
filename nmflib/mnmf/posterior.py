"""The E-step of the multichannel model: the posterior of the sources given the microphones, and the likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmflib._arrays import chunks, power_of
from nmflib._check import Array
from nmflib._hermitian import Planes, entry, invert, pack, pack_outer, unpack
from nmflib._objective import sum_log

CANCELLATION = 1e-5  # least trusted product of the channels' variances given the earlier ones, relative to their own
LOST = 1e-13  # least trusted posterior power, relative to the prior power


class Expectation(NamedTuple):
    """C1 (12), the statistics of the E-step, and −∂C1/∂p_j = |a_jᴴ Σ_x⁻¹ x|² − a_jᴴ Σ_x⁻¹ a_j.

    R_xs : (F, I, J) and R_ss : (F, J, J), means over frames; minus_gradient : (J, F, N)
    """

    C1: float
    R_xs: Array
    R_ss: Array
    minus_gradient: Array


def e_step(X: Array, A: Array, P: Array, Sigma_b: Array) -> Expectation:
    """The posterior of the sources, averaged over frames.

    ŝ = Σ_s Aᴴ Σ_x⁻¹ x,   R_xs = mean x ŝᴴ,   R_ss = mean ŝ ŝᴴ + Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s

    X : (F, I, N), A : (F, I, J), P : (J, F, N) the diagonal of Σ_s, Sigma_b : (F, I)
    Ozerov & Févotte 2010, (12) and (15)–(23), doi:10.1109/TASL.2009.2031510.
    """
    n_freq, n_channels, n_frames = X.shape
    n_sources = len(P)
    C1, cancels = 0.0, np.zeros(n_freq, bool)
    R_xs = np.empty((n_freq, n_channels, n_sources), complex)
    R_ss = np.empty((n_freq, n_sources, n_sources), complex)
    minus_gradient = np.empty_like(P)
    for bins in chunks(n_freq, n_frames):
        E, cancels[bins] = _by_inversion(X[bins], A[bins], P[:, bins], Sigma_b[bins])
        C1 += E.C1
        R_xs[bins], R_ss[bins], minus_gradient[:, bins] = E[1:]
    left = np.flatnonzero(cancels)
    for part in chunks(len(left), n_frames):
        few = left[part]
        E = _by_square_root(X[few], A[few], P[:, few], Sigma_b[few])
        C1 += E.C1
        R_xs[few], R_ss[few], minus_gradient[:, few] = E[1:]
    return Expectation(C1, R_xs / n_frames, R_ss / n_frames, minus_gradient)


def _by_inversion(X: Array, A: Array, P: Array, Sigma_b: Array) -> tuple[Expectation, Array]:
    """Sums over frames by Σ_x⁻¹ for f bins, and (f,) where that cancels; C1 does not count these bins.

    X : (f, I, N), A : (f, I, J), P : (J, f, N), Sigma_b : (f, I)
    """
    n_bins, n_channels, n_frames = X.shape
    n_sources = len(P)
    p, outer = P.transpose(1, 0, 2), pack_outer(A)
    Sigma_x = np.matmul(outer, p)  # Σ_j p_j a_j a_jᴴ
    Sigma_x[:, :n_channels] += Sigma_b[:, :, np.newaxis]
    planes, pivots = invert(Sigma_x, Sigma_b)
    inverse = pack(planes, n_channels)
    Y = _times(planes, X)
    V = np.matmul(A.conj().transpose(0, 2, 1), Y)
    S = p * V
    S_H = S.conj().transpose(0, 2, 1)
    pp = (p[:, :, np.newaxis] * p[:, np.newaxis]).reshape(n_bins, n_sources**2, n_frames)
    pp_inverse = np.matmul(pp, inverse.transpose(0, 2, 1)).reshape(n_bins, n_sources, n_sources, n_channels**2)
    R_ss = np.matmul(S, S_H) - np.einsum("fij,fjkil,flk->fjk", A.conj(), unpack(pp_inverse, n_channels), A)
    R_ss += np.eye(n_sources) * P.sum(axis=2).T[:, np.newaxis]
    outer[:, n_channels:] *= 2  # so that the product with a packed S is the trace, a_jᴴ S a_j
    minus_gradient = (power_of(V) - np.matmul(outer.transpose(0, 2, 1), inverse)).transpose(1, 0, 2)
    cancels = (pivots[1:].prod(axis=0) < CANCELLATION * Sigma_x[:, 1:n_channels].prod(axis=1)).any(axis=1)
    cancels |= (np.diagonal(R_ss, axis1=1, axis2=2).real < LOST * P.sum(axis=2).T).any(axis=1)
    x, y, kept = (X, Y, pivots) if not cancels.any() else (X[~cancels], Y[~cancels], pivots[:, ~cancels])
    C1 = float(np.vdot(x, y).real) + sum_log(kept)
    return Expectation(C1, np.matmul(X, S_H), R_ss, minus_gradient), cancels


def _by_square_root(X: Array, A: Array, P: Array, Sigma_b: Array) -> Expectation:
    """The sums of `_by_inversion` by `square_root_posterior`, which is slower and never cancels."""
    given_x = square_root_posterior(X, A, P, Sigma_b)
    S = (np.sqrt(P) * given_x.mean).transpose(1, 0, 2)
    S_H = S.conj().transpose(0, 2, 1)
    root = np.sqrt(P)[:, np.newaxis] * given_x.root  # of the posterior covariance
    root = root.transpose(2, 0, 1, 3).reshape(len(X), len(P), -1)
    R_ss = np.matmul(S, S_H) + np.matmul(root, root.conj().transpose(0, 2, 1))
    second_moment = power_of(given_x.mean) + power_of(given_x.root).sum(axis=1)
    return Expectation(given_x.C1, np.matmul(X, S_H), R_ss, (second_moment - 1) / np.maximum(P, 1e-290))


def _times(S: Planes, X: Array) -> Array:
    """S x of Hermitian matrices and vectors X (f, I, N)."""
    Y = np.empty_like(X)
    for i in range(X.shape[1]):
        np.multiply(S[i, i], X[:, i], out=Y[:, i])
        for k in range(X.shape[1]):
            if k != i:
                Y[:, i] += entry(S, i, k) * X[:, k]
    return Y


class _Posterior(NamedTuple):
    """The sources given x, in units of their prior standard deviations, and their part of C1.

    mean : (J, f, N); root : (J, J, f, N), R of the posterior covariance R Rᴴ
    """

    mean: Array
    root: Array
    C1: float


def square_root_posterior(X: Array, A: Array, P: Array, Sigma_b: Array) -> _Posterior:
    """ŝ and the posterior covariance, exact for any noise and for nearly equal columns of A.

    The channels are taken into account one by one. With a the row of A, scaled to sources of unit variance, and R = 1
    before the first channel,

        g = Rᴴ aᴴ,  v = ‖g‖² + σ_i²,  ŝ ← ŝ + R g (x_i − a ŝ) / v,  R ← R − R g gᴴ / (v + σ_i √v)

    where v is the variance of x_i given the earlier channels: C1 = Σ |x_i − a ŝ|² / v + log v has no cancelling terms.

    X : (f, I, N), A : (f, I, J), P : (J, f, N), Sigma_b : (f, I)
    The square-root filter of Potter: Bierman 1977, Factorization Methods for Discrete Sequential Estimation, II.
    """
    n_sources = len(P)
    deviation = np.sqrt(P)
    mean = np.zeros(P.shape, complex)
    root = np.zeros((n_sources, *P.shape), complex)
    root[range(n_sources), range(n_sources)] = 1
    C1 = 0.0
    for i in range(X.shape[1]):
        a = A[:, i].T[..., np.newaxis] * deviation
        noise = Sigma_b[:, i, np.newaxis]
        g = (root * a[:, np.newaxis]).sum(axis=0).conj()
        variance = power_of(g).sum(axis=0) + noise
        innovation = X[:, i] - (a * mean).sum(axis=0)
        C1 += float((power_of(innovation) / variance).sum()) + sum_log(variance)
        gain = (root * g).sum(axis=1)
        mean += gain * (innovation / variance)
        root -= (gain / (variance + np.sqrt(noise * variance)))[:, np.newaxis] * g.conj()
    return _Posterior(mean, root, C1)
