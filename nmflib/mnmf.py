"""Multichannel NMF of Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510: several microphones, several sources.

The letters are the paper's: F × N bins × frames, I channels, J sources, K components in all; K_j are those of source j.

    x = A s + b,   s_j = Σ_{k ∈ K_j} c_k,   c_k ~ N_c(0, w_fk h_kn),   b ~ N_c(0, Σ_b)        per bin f and frame n

| in the paper  | what it says                                                | function                      |
|---------------|-------------------------------------------------------------|-------------------------------|
| (12)          | C1 = Σ xᴴ Σ_x⁻¹ x + log det Σ_x,  Σ_x = A Σ_s Aᴴ + Σ_b      | `_expectation`                |
| (15)–(23)     | E-step: ŝ = Σ_s Aᴴ Σ_x⁻¹ x, and R_xx, R_xs, R_ss            | `_expectation`                |
| (24)          | A ← R_xs R_ss⁻¹, convolutive                                | `_update_mixing`              |
| (25)          | Σ_b ← diag(R_xx − A R_xsᴴ − R_xs Aᴴ + A R_ss Aᴴ)            | `_update_noise`               |
| (26)          | w ← mean_n u / h, then h ← mean_f u / w                     | `_update_W`, `_update_H`      |
| (29)          | A, instantaneous: one matrix for all bins                   | `_update_mixing_all_bins`     |
| (30)–(31)     | C2 = Σ d_IS(abs(x_i)², v̂_i),  v̂_i = Σ_j q_ij p_j            | `_Fit`                        |
| (38)          | multiplicative rule for q                                   | `_multiply_Q`                 |
| (39)–(40)     | multiplicative rules for W and H                            | `_multiply_W`, `_multiply_H`  |
| (42)          | channel-wise masks                                          | `MNMF.images`                 |
| annealing     | σ(t) from σ_0 to σ_end on standard deviations               | `_annealed`                   |

What keeps divisions finite, always relative to the data (X is first divided by a power of two that brings its mean
magnitude near 1, which loses no digit):

- a noise variance stays above `NOISE_FLOOR` = 1e-14 times the mean power of its bin, and `SILENCE_FLOOR` = 1e-24 times
  that of the whole recording; one that is re-estimated stays above `ESTIMATE_FLOOR` = 1e-7 times the power of its bin,
  since (25) is a difference of numbers of that size, and the likelihood of a mixture without noise has no bound;
- Σ_x is inverted channel by channel; in a bin where the variance of a channel given the earlier ones falls below
  `CANCELLATION` = 1e-7 of its own, Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s cancels, and `_square_root_posterior` takes over;
- no component of EM grows above `LOUDEST` = 4 times the loudest entry of X: from nearly equal columns of A, two sources
  that cancel each other could otherwise become thousands of times louder than what was heard;
- R_ss is inverted with `RIDGE` = 1e-15 of its diagonal added, in such a way that a source without energy keeps its
  column of A; one EM update multiplies an entry of W or H by at least `LEAST_GAIN` = 1e-8;
- for C2, where a zero would cost infinity, abs(x_i)² is lifted to 1e-15 times its mean, and v̂ by `SILENCE_FLOOR`²;
  parameters of silent bins, frames and channels start at 1e-15 of their mean or more: no factor leads out of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._threads import one_blas_thread
from nmflib.divergence import Array, as_nonnegative, scale_exponent, sum_log
from nmflib.hermitian import Planes, entry, invert, pack, pack_outer, unpack
from nmflib.nmf import V_FLOOR, _as_count, nmf
from nmflib.stft import as_channels, as_stft

MIXINGS = ("convolutive", "instantaneous")
NOISES = ("anneal", "fixed", "isotropic", "diagonal")
MIXING_UPDATES = ("weighted", "paper")
ORDERS = ("paper", "joint")
METHODS = ("blind", "random", "oracle")

NOISE_FLOOR = 1e-14
ESTIMATE_FLOOR = 1e-7
SILENCE_FLOOR = 1e-24
RIDGE = 1e-15
CANCELLATION = 1e-7
LOUDEST = 4.0
LEAST_GAIN = 1e-8
CHUNK = 2**14  # entries (bins × frames) treated at once: what is computed from them stays in the processor's cache


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

    def sources(self, X: ArrayLike) -> Array:
        """ŝ = Σ_s Aᴴ Σ_x⁻¹ x, (n_sources, n_freq, n_frames). X : (n_channels, n_freq, n_frames). EM only.

        Ozerov & Févotte 2010, (15), doi:10.1109/TASL.2009.2031510.
        """
        if self.A is None:
            raise ValueError("X cannot be turned into sources by a model of MU: Q holds no phases; use images(X)")
        X = self._check(X)
        x = X.astype(complex).transpose(1, 0, 2)
        P = _source_powers(self.W.astype(float), self.H.astype(float), _groups(self, self.A.shape[-1]))
        exponent = scale_exponent(P)  # a common factor of P and Σ_b cancels
        P, Sigma_b = np.ldexp(P, -exponent), np.ldexp(_given(self.noise).astype(float), -exponent)
        Sigma_b = np.maximum(Sigma_b, SILENCE_FLOOR**2)  # single precision may have rounded it to zero
        A = _every_bin(self.A, X.shape[1]).astype(complex)
        S = np.empty(P.shape, complex)
        for bins in _chunks(*P.shape[1:]):
            S[:, bins] = np.sqrt(P[:, bins]) * _square_root_posterior(x[bins], A[bins], P[:, bins], Sigma_b[bins]).mean
        return S.astype(X.dtype)

    def images(self, X: ArrayLike) -> Array:
        """What each microphone hears of each source, (n_sources, n_channels, n_freq, n_frames).

        X : (n_channels, n_freq, n_frames). EM: a_ij ŝ_j; MU: the mask q_ij p_j / v̂_i times x_i.
        The images and `residual(X)` sum to X. Ozerov & Févotte 2010, (42), doi:10.1109/TASL.2009.2031510.
        """
        if self.Q is None:
            S = self.sources(X)
            A = _every_bin(_given(self.A), S.shape[1])
            return A.transpose(2, 1, 0)[..., np.newaxis] * S[:, np.newaxis]
        X = self._check(X)
        P = _source_powers(self.W, self.H, _groups(self, self.Q.shape[-1]))
        images = np.einsum("fij,jfn->jifn", _every_bin(self.Q, X.shape[1]), P)
        V_hat = images.sum(axis=0)
        mask = np.divide(images, V_hat, out=np.full_like(images, 1 / len(images)), where=V_hat > 0)
        return mask * X

    def residual(self, X: ArrayLike) -> Array:
        """What the model calls noise, b̂ = Σ_b Σ_x⁻¹ x = x − Aŝ, (n_channels, n_freq, n_frames); MU leaves nothing."""
        return as_stft(X) - self.images(X).sum(axis=0)

    def _check(self, X: ArrayLike) -> Array:
        """X, when it has the shape that was fitted."""
        array = as_stft(X)
        n_channels = _given(self.A if self.Q is None else self.Q).shape[-2]
        expected = (n_channels, self.W.shape[0], self.H.shape[1])
        if array.shape != expected:
            raise ValueError(f"X has shape {array.shape}; this model was fitted to {expected}")
        return array


Callback = Callable[[int, MNMF], object]


# ---------------------------------------------------------------------------------------------------------------- EM


def mnmf_em(
    X: ArrayLike,
    n_sources: int,
    n_components: int | Sequence[int],
    *,
    mixing: str = "convolutive",
    noise: str = "anneal",
    mixing_update: str = "weighted",
    inject_noise: bool = False,
    final_noise: float | None = None,
    n_iter: int = 200,
    init: MNMFInit | None = None,
    rng: int | np.random.Generator = 0,
    callback: Callback | None = None,
) -> MNMF:
    """Fit the multichannel model by EM on the exact likelihood: cost = Σ_fn log(π^I det Σ_x) + xᴴ Σ_x⁻¹ x.

    X : (n_channels, n_freq, n_frames) STFT; any number of channels and sources, also more sources than channels
    n_components : components per source, one number or one per source
    mixing : "convolutive", a matrix per bin, or "instantaneous", one real matrix for all bins
    noise : "fixed" as in init; "isotropic" or "diagonal", re-estimated (25); "anneal", lowered linearly in σ over the
        n_iter + 1 E-steps, from the initial variance to `final_noise` (None: 1e-8 times the initial one)
    mixing_update : how instantaneous mixing weighs the bins: "weighted" by 1 / noise variance, which is the M-step, or
        equally as in (29) of the "paper", which can raise the cost. For convolutive mixing the two are the same.
    inject_noise : with "anneal", add noise of the current variance to X in every E-step; `cost` is then of the noisy X
    init : where to start; None: `initialise(X, n_sources, n_components, "random", rng=rng)`
    callback : called as callback(iteration, model) after every update, with the MNMF so far

    The result has Σ_i abs(a_ij)² = 1, a_1j >= 0 and Σ_f w_fk = 1. complex64 in, complex64 and float32 out.
    Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 8)) + 1j * rng.standard_normal((2, 5, 8))
    >>> model = mnmf_em(X, 3, 2, noise="diagonal", n_iter=10)
    >>> model.A.shape, model.W.shape, model.H.shape, model.noise.shape, model.cost.shape
    ((5, 2, 3), (5, 6), (6, 8), (5, 2), (11,))
    >>> bool(np.allclose(model.images(X).sum(axis=0) + model.residual(X), X))
    True
    """
    X = as_mixture(X)
    n_iter = _as_count(n_iter, "n_iter", least=0)
    _one_of(mixing, "mixing", MIXINGS)
    _one_of(noise, "noise", NOISES)
    _one_of(mixing_update, "mixing_update", MIXING_UPDATES)
    anneal = noise == "anneal"
    if inject_noise and not anneal:
        raise ValueError(f"inject_noise needs noise='anneal', noise is {noise!r}")
    if final_noise is not None and not (anneal and 0 <= final_noise < math.inf):
        raise ValueError(f"final_noise is {final_noise!r}; it must be None, or a variance >= 0 with noise='anneal'")
    generator = np.random.default_rng(rng)
    start = check_start(X, n_sources, n_components, mixing, init, generator)
    groups = _groups(start, n_sources)

    x, exponent = _unit_scale(X)
    n_freq, n_channels, n_frames = x.shape
    floor = _noise_floor(x, NOISE_FLOOR)
    A, W, H = _given(start.A), start.W, np.ldexp(start.H, -2 * exponent)
    most = LOUDEST * float((x.real**2 + x.imag**2).sum(axis=1).max())
    first = Sigma_b = np.maximum(np.ldexp(_given(start.noise), -2 * exponent), floor)
    last = np.maximum(1e-8 * first if final_noise is None else math.ldexp(final_noise, -2 * exponent), floor)
    log_unit = n_freq * n_frames * n_channels * (math.log(math.pi) + 2 * exponent * math.log(2))

    cost = np.empty(n_iter + 1)
    with one_blas_thread():
        for t in range(n_iter + 1):
            if anneal:
                Sigma_b = _annealed(first, last, t + 1, n_iter + 1)
            noisy = x + _complex_noise(Sigma_b, n_frames, generator) if inject_noise else x
            E = _expectation(noisy, _every_bin(A, n_freq), _source_powers(W, H, groups), Sigma_b)
            cost[t] = E.C1 + log_unit
            if t and callback is not None:
                callback(t, _result(start, W, H, cost[: t + 1], (exponent, X.dtype), A=A, Sigma_b=Sigma_b))
            if t == n_iter:
                break
            if mixing == "convolutive":
                A = _update_mixing(E.R_xs, E.R_ss, A)
            else:
                A = _update_mixing_all_bins(E.R_xs, E.R_ss, Sigma_b, A, mixing_update)
            if noise in ("isotropic", "diagonal"):
                Sigma_b = np.maximum(_update_noise(E, _every_bin(A, n_freq), noise), _noise_floor(x, ESTIMATE_FLOOR))
            W_new = _update_W(W, H, E.T, groups, most)
            H = _update_H(W, W_new, H, E.T, groups, most)
            A, W, H = _normalise_em(A, W_new, H, groups)
    return _result(start, W, H, cost, (exponent, X.dtype), A=A, Sigma_b=Sigma_b)


@dataclass(frozen=True)
class _Expectation:
    """C1 (12), the statistics of the E-step, and T_j = |a_jᴴ Σ_x⁻¹ x|² − a_jᴴ Σ_x⁻¹ a_j.

    R_xx : (F, I) its diagonal, R_xs : (F, I, J), R_ss : (F, J, J), T : (J, F, N)
    """

    C1: float
    R_xx: Array
    R_xs: Array
    R_ss: Array
    T: Array


def _expectation(X: Array, A: Array, P: Array, Sigma_b: Array) -> _Expectation:
    """E-step: the posterior of the sources, averaged over frames.

    ŝ = Σ_s Aᴴ Σ_x⁻¹ x,  R_xx = mean x xᴴ,  R_xs = mean x ŝᴴ,  R_ss = mean ŝ ŝᴴ + Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s

    X : (F, I, N), A : (F, I, J), P : (J, F, N) the diagonal of Σ_s, Sigma_b : (F, I)
    Ozerov & Févotte 2010, (12) and (15)–(23), doi:10.1109/TASL.2009.2031510.
    """
    n_freq, n_channels, n_frames = X.shape
    n_sources = len(P)
    outer = pack_outer(A)
    outer_twice = outer.copy()
    outer_twice[:, n_channels:] *= 2  # so that the product with a packed S is the trace, a_jᴴ S a_j
    C1 = 0.0
    R_xs = np.empty((n_freq, n_channels, n_sources), complex)
    R_ss = np.empty((n_freq, n_sources, n_sources), complex)
    PP_inverse = np.empty((n_freq, n_sources**2, n_channels**2))  # Σ_n p_j p_k Σ_x⁻¹
    T = np.empty_like(P)
    cancels = np.zeros(n_freq, bool)
    for bins in _chunks(n_freq, n_frames):
        x, p = X[bins], P[:, bins].transpose(1, 0, 2)
        Sigma_x = np.matmul(outer[bins], p)  # Σ_j p_j a_j a_jᴴ
        Sigma_x[:, :n_channels] += Sigma_b[bins, :, np.newaxis]
        planes, pivots = invert(Sigma_x, Sigma_b[bins])
        inverse = pack(planes, n_channels)
        Y = _times(planes, x)
        V = np.matmul(A[bins].conj().transpose(0, 2, 1), Y)
        S = p * V
        S_H = S.conj().transpose(0, 2, 1)
        R_xs[bins] = np.matmul(x, S_H)
        R_ss[bins] = np.matmul(S, S_H)
        pp = (p[:, :, np.newaxis] * p[:, np.newaxis]).reshape(len(x), n_sources**2, n_frames)
        PP_inverse[bins] = np.matmul(pp, inverse.transpose(0, 2, 1))
        V_squared = V.real**2 + V.imag**2
        T[:, bins] = (V_squared - np.matmul(outer_twice[bins].transpose(0, 2, 1), inverse)).transpose(1, 0, 2)
        bad = (pivots[1:] < CANCELLATION * Sigma_x[:, 1:n_channels].transpose(1, 0, 2)).any(axis=(0, 2))
        if bad.any():
            x, Y, pivots, cancels[bins] = x[~bad], Y[~bad], pivots[:, ~bad], bad
        C1 += float(np.vdot(x, Y).real) + sum_log(pivots)
    inverse = unpack(PP_inverse.reshape(n_freq, n_sources, n_sources, n_channels**2), n_channels)
    R_ss -= np.einsum("fij,fjkil,flk->fjk", A.conj(), inverse, A)
    R_ss += np.eye(n_sources) * P.sum(axis=2).T[:, np.newaxis]
    lost = np.flatnonzero(cancels)
    for part in _chunks(len(lost), n_frames):
        few = lost[part]
        p = P[:, few]
        given_x = _square_root_posterior(X[few], A[few], p, Sigma_b[few])
        C1 += given_x.C1
        S = (np.sqrt(p) * given_x.mean).transpose(1, 0, 2)
        S_H = S.conj().transpose(0, 2, 1)
        R_xs[few] = np.matmul(X[few], S_H)
        root = np.sqrt(p)[:, np.newaxis] * given_x.root  # of the posterior covariance
        root = root.transpose(2, 0, 1, 3).reshape(len(few), n_sources, -1)
        R_ss[few] = np.matmul(S, S_H) + np.matmul(root, root.conj().transpose(0, 2, 1))
        second_moment = _power(given_x.mean) + _power(given_x.root).sum(axis=1)
        T[:, few] = (second_moment - 1) / np.maximum(p, 1e-290)
    R_xx = np.einsum("fin,fin->fi", X, X.conj()).real
    return _Expectation(C1, R_xx / n_frames, R_xs / n_frames, R_ss / n_frames, T)


def _times(S: Planes, X: Array) -> Array:
    """S x of Hermitian matrices and vectors X (f, I, N)."""
    Y = np.empty_like(X)
    for i in range(X.shape[1]):
        np.multiply(S[i, i], X[:, i], out=Y[:, i])
        for k in range(X.shape[1]):
            if k != i:
                Y[:, i] += entry(S, i, k) * X[:, k]
    return Y


@dataclass(frozen=True)
class _Posterior:
    """The sources given the microphones in f bins, in units of their prior standard deviations; and their part of C1.

    mean : (J, f, N); root : (J, J, f, N), R of the posterior covariance R Rᴴ
    """

    mean: Array
    root: Array
    C1: float


def _square_root_posterior(X: Array, A: Array, P: Array, Sigma_b: Array) -> _Posterior:
    """ŝ and the posterior covariance with all their digits, however small the noise and however alike the columns of A.

    The microphones are heard one after the other. With a the row of A scaled to sources of unit variance, and R = 1
    before the first,

        g = Rᴴ aᴴ,  v = ‖g‖² + σ_i²,  ŝ ← ŝ + R g (x_i − a ŝ) / v,  R ← R − R g gᴴ / (v + σ_i √v)

    where v is the variance of x_i given the earlier ones: C1 = Σ |x_i − a ŝ|² / v + log v has positive terms alone.

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
        variance = _power(g).sum(axis=0) + noise
        innovation = X[:, i] - (a * mean).sum(axis=0)
        C1 += float((_power(innovation) / variance).sum()) + sum_log(variance)
        gain = (root * g).sum(axis=1)
        mean += gain * (innovation / variance)
        root -= (gain / (variance + np.sqrt(noise * variance)))[:, np.newaxis] * g.conj()
    return _Posterior(mean, root, C1)


def _update_mixing(R_xs: Array, R_ss: Array, A: Array) -> Array:
    """A ← R_xs R_ss⁻¹.

    R_xs : (..., I, J), R_ss : (..., J, J), A : (..., I, J) the current one, which a source without energy keeps:
    with D the diagonal of R_ss, this is (R_xs + ε A D) (R_ss + ε D)⁻¹, computed for sources of unit variance.
    Ozerov & Févotte 2010, (24), doi:10.1109/TASL.2009.2031510.
    """
    D = np.diagonal(R_ss, axis1=-2, axis2=-1).real
    unit = 1 / np.sqrt(np.maximum(D, SILENCE_FLOOR**2))
    left = R_ss * unit[..., np.newaxis] * unit[..., np.newaxis, :] + RIDGE * np.eye(D.shape[-1])
    right = R_xs * unit[..., np.newaxis, :] + RIDGE * A / unit[..., np.newaxis, :]
    return np.linalg.solve(left.swapaxes(-1, -2), right.swapaxes(-1, -2)).swapaxes(-1, -2) * unit[..., np.newaxis, :]


def _update_mixing_all_bins(R_xs: Array, R_ss: Array, Sigma_b: Array, A: Array, how: str) -> Array:
    """A ← Re Σ_f R_xs [Re Σ_f R_ss]⁻¹, row by row with bin f weighted by 1 / σ²_b,if ("weighted") or not ("paper").

    R_xs : (F, I, J), R_ss : (F, J, J), Sigma_b : (F, I), A : (I, J) real
    Only "weighted" maximises the expected likelihood when the noise variance depends on f.
    Ozerov & Févotte 2010, (29), doi:10.1109/TASL.2009.2031510.
    """
    weight = Sigma_b.min() / Sigma_b if how == "weighted" else np.ones_like(Sigma_b)
    sum_xs = np.einsum("fi,fij->ij", weight, R_xs.real)
    sum_ss = np.einsum("fi,fjk->ijk", weight, R_ss.real)
    return _update_mixing(sum_xs[:, np.newaxis], sum_ss, A[:, np.newaxis])[:, 0]


def _update_noise(E: _Expectation, A: Array, kind: str) -> Array:
    """Σ_b ← diag(R_xx − A R_xsᴴ − R_xs Aᴴ + A R_ss Aᴴ), (F, I); "isotropic": its mean over channels in each.

    A : (F, I, J), already the new one. Ozerov & Févotte 2010, (25), doi:10.1109/TASL.2009.2031510.
    """
    A_R_ss_A = np.einsum("fij,fjk,fik->fi", A, E.R_ss, A.conj()).real
    Sigma_b = E.R_xx - 2 * np.einsum("fij,fij->fi", A, E.R_xs.conj()).real + A_R_ss_A
    if kind == "isotropic":
        Sigma_b[:] = Sigma_b.mean(axis=1, keepdims=True)
    return Sigma_b


def _update_W(W: Array, H: Array, T: Array, groups: list[NDArray[np.intp]], most: float) -> Array:
    """w_fk ← mean_n u_k,fn / h_kn, where u_k = E|c_k|² = p + p² T_j and p = w_fk h_kn: so w ← w + w² mean_n h T_j.

    W : (F, K), H : (K, N), T : (J, F, N); most : p does not grow above it
    Ozerov & Févotte 2010, (26), doi:10.1109/TASL.2009.2031510.
    """
    W_new = W.copy()
    for j, K_j in enumerate(groups):
        mean_hT = T[j] @ H[K_j].T / T.shape[2]
        W_new[:, K_j] *= np.maximum(1 + W[:, K_j] * mean_hT, LEAST_GAIN)
    return _grown(W, W_new, most, H.max(axis=1))


def _update_H(W: Array, W_new: Array, H: Array, T: Array, groups: list[NDArray[np.intp]], most: float) -> Array:
    """h_kn ← mean_f u_k,fn / w'_fk with the new w', u_k as in `_update_W`: h ← h mean_f w/w' + h² mean_f (w²/w') T_j.

    W, W_new : (F, K), H : (K, N), T : (J, F, N); most : p does not grow above it
    Ozerov & Févotte 2010, (26), doi:10.1109/TASL.2009.2031510.
    """
    H_new = H.copy()
    shrink = np.divide(W, W_new, out=np.ones_like(W), where=W_new > 0)
    for j, K_j in enumerate(groups):
        mean_wT = (shrink[:, K_j] * W[:, K_j]).T @ T[j] / T.shape[1]
        H_new[K_j] *= np.maximum(shrink[:, K_j].mean(axis=0)[:, np.newaxis] + H[K_j] * mean_wT, LEAST_GAIN)
    return _grown(H, H_new, most, W_new.max(axis=0)[:, np.newaxis])


def _grown(old: Array, new: Array, most: float, other: Array) -> Array:
    """`new`, but where it exceeds both `old` and most / other, the larger of the two: EM still descends on the way."""
    return np.minimum(new, np.maximum(old, most / np.maximum(other, 1e-290)))


def _normalise_em(A: Array, W: Array, H: Array, groups: list[NDArray[np.intp]]) -> tuple[Array, Array, Array]:
    """a_1j >= 0 and Σ_i |a_ij|² = 1, the scale goes to W_j; then Σ_f w_fk = 1, the scale goes to H.

    A : (F, I, J) or (I, J), W : (F, K), H : (K, N). The model stays the same.
    """
    reference = A[..., :1, :]
    modulus = np.abs(reference)
    A = A * np.divide(reference.conj(), modulus, out=np.ones_like(reference), where=modulus > 1e-290)
    energy = (A.real**2 + A.imag**2).sum(axis=-2)
    energy = np.where(energy > 0, energy, 1)
    return A / np.sqrt(energy)[..., np.newaxis, :], *_normalise_WH(energy, W, H, groups)


def _annealed(first: Array, last: Array, t: int, n: int) -> Array:
    """σ(t) = ((n − t) σ_0 + t σ_end) / n, t = 1 … n; variances (F, I) in and out. doi:10.1109/TASL.2009.2031510."""
    return (((n - t) * np.sqrt(first) + t * np.sqrt(last)) / n) ** 2


def _complex_noise(Sigma_b: Array, n_frames: int, rng: np.random.Generator) -> Array:
    """Circular complex Gaussian noise (F, I, N) of variance Sigma_b (F, I)."""
    pair = rng.standard_normal((2, *Sigma_b.shape, n_frames)) * np.sqrt(Sigma_b / 2)[..., np.newaxis]
    return pair[0] + 1j * pair[1]


# ---------------------------------------------------------------------------------------------------------------- MU


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
    order : "paper" updates one source after the other and never raises the cost; "joint" all q, then all W, then all H
        at once, which is faster and takes a slightly different path
    init : where to start; None: `initialise(X, n_sources, n_components, "random", rng=rng)`
    callback : called as callback(iteration, model) after every iteration, with the MNMF so far

    The result has Σ_i q_ij = 1 and Σ_f w_fk = 1. complex64 in, float32 out.
    Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 8)) + 1j * rng.standard_normal((2, 5, 8))
    >>> model = mnmf_mu(X, 3, 2, n_iter=10)
    >>> model.Q.shape, model.images(X).shape, bool(np.all(np.diff(model.cost) < 0))
    ((5, 2, 3), (3, 2, 5, 8), True)
    """
    X = as_mixture(X)
    n_iter = _as_count(n_iter, "n_iter", least=0)
    _one_of(mixing, "mixing", MIXINGS)
    _one_of(order, "order", ORDERS)
    start = check_start(X, n_sources, n_components, mixing, init, np.random.default_rng(rng))
    groups = _groups(start, n_sources)
    blocks = [slice(j, j + 1) for j in range(n_sources)] if order == "paper" else [slice(0, n_sources)]

    x, exponent = _unit_scale(X)
    Q, W, H = _given(start.Q), start.W, np.ldexp(start.H, -2 * exponent)
    with one_blas_thread():
        V = _power(x)
        Q, W, H = _lifted_in_silence(V, Q, W, H)
        fit = _Fit(V, groups)
        fit.set_P(W, H, slice(0, n_sources))
        cost = np.empty(n_iter + 1)
        parts, cost[0] = fit.parts_of_Q_and_cost(Q)
        for t in range(1, n_iter + 1):
            for block in blocks:
                if block.start:  # the parts at hand are those for the first block
                    parts, _ = fit.parts_of_Q_and_cost(Q, cost=False)
                Q = _multiply_Q(parts, Q, block)
            for block in blocks:
                W = _multiply_W(fit, Q, W, H, block)
                fit.set_P(W, H, block)
            for block in blocks:
                H = _multiply_H(fit, Q, W, H, block)
                fit.set_P(W, H, block)
            parts, cost[t] = fit.parts_of_Q_and_cost(Q)
            if callback is not None:
                Q_t, W_t, H_t = _normalise_mu(Q, W, H, groups)
                callback(t, _result(start, W_t, H_t, cost[: t + 1], (exponent, X.dtype), Q=Q_t))
    if n_iter:  # the rules do not depend on how the scale is shared between q, W and H: once, at the end, is enough
        Q, W, H = _normalise_mu(Q, W, H, groups)
    return _result(start, W, H, cost, (exponent, X.dtype), Q=Q)


def _lifted_in_silence(V: Array, Q: Array, W: Array, H: Array) -> tuple[Array, Array, Array]:
    """The initial values, at least 1e-15 of their mean where a channel of a bin, a bin or a frame is silent.

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


class _Fit:
    """V beside V̂, and what the multiplicative rules need of them: 1 / v̂ and v / v̂², which are never formed as a whole.

    V : (F, I, N); P : (F, J, N) the source powers W_j H_j; groups : the components K_j of every source
    Ozerov & Févotte 2010, (30)–(31), doi:10.1109/TASL.2009.2031510.
    """

    def __init__(self, V: Array, groups: list[NDArray[np.intp]]) -> None:
        self.V = np.maximum(V, max(V_FLOOR * V.mean(), SILENCE_FLOOR**2))
        self.groups = groups
        self.P = np.empty((V.shape[0], len(groups), V.shape[2]))
        self._chunks = _chunks(V.shape[0], V.shape[2])
        self._buffers = np.empty((2, *V[self._chunks[0]].shape))
        self._constant = sum_log(self.V) + V.size

    def set_P(self, W: Array, H: Array, sources: slice) -> None:
        """p_j = W_j H_j for the j in `sources`. W : (F, K), H : (K, N)"""
        for j in range(len(self.groups))[sources]:
            np.matmul(W[:, self.groups[j]], H[self.groups[j]], out=self.P[:, j])

    def ratios(self, Q: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Some bins after the other: which, and v / v̂² and 1 / v̂ there, (f, I, N), with v̂_i = Σ_j q_ij p_j.

        Q : (F, I, J) or (I, J)
        """
        Q = _every_bin(Q, len(self.V))
        for bins in self._chunks:
            V = self.V[bins]
            ratio, inverse = self._buffers[:, : len(V)]
            np.matmul(Q[bins], self.P[bins], out=inverse)
            inverse += SILENCE_FLOOR**2
            np.divide(1, inverse, out=inverse)
            np.multiply(V, inverse, out=ratio)
            ratio *= inverse
            yield bins, ratio, inverse

    def parts_of_Q_and_cost(self, Q: Array, cost: bool = True) -> tuple[tuple[Array, Array], float]:
        """Σ_n v̂_i⁻² v_i p_j and Σ_n v̂_i⁻¹ p_j, (F, I, J), and C2 = Σ v / v̂ − log(v / v̂) − 1 when it is asked for."""
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
        """The components k of the j in `sources`, and for each the q_ij of its source, (F, I, number of them)."""
        owner = np.concatenate([np.full(len(K_j), j) for j, K_j in enumerate(self.groups)][sources])
        return np.concatenate(self.groups[sources]), _every_bin(Q, len(self.V))[..., owner]


def _multiply_Q(parts: tuple[Array, Array], Q: Array, sources: slice) -> Array:
    """q_ij ← q_ij · Σ_n v̂_i⁻² v_i p_j / Σ_n v̂_i⁻¹ p_j, for all i and the j in `sources`; instantaneous: Σ_fn.

    parts : the two sums over n, (F, I, J); Q : (F, I, J) or (I, J). v̂_i depends on the q of its own channel only: all
    channels at once is one after the other.
    Ozerov & Févotte 2010, (38), doi:10.1109/TASL.2009.2031510.
    """
    numerator, denominator = (part if Q.ndim == 3 else part.sum(axis=0) for part in parts)
    Q = Q.copy()
    Q[..., sources] *= _ratio(numerator[..., sources], denominator[..., sources])
    return Q


def _multiply_W(fit: _Fit, Q: Array, W: Array, H: Array, sources: slice) -> Array:
    """W_j ← W_j · Σ_i q_ij (v̂_i⁻² v_i) H_jᵀ / Σ_i q_ij v̂_i⁻¹ H_jᵀ for the j in `sources`.

    Q : (F, I, J) or (I, J), W : (F, K), H : (K, N). Ozerov & Févotte 2010, (39), doi:10.1109/TASL.2009.2031510.
    """
    K, q = fit.components(Q, sources)
    H_T = np.ascontiguousarray(H[K].T)
    numerator, denominator = np.empty((2, len(W), len(K)))
    for bins, ratio, inverse in fit.ratios(Q):
        for part, sums in ((ratio, numerator), (inverse, denominator)):
            sums[bins] = (q[bins] * (part.reshape(-1, len(H_T)) @ H_T).reshape(q[bins].shape)).sum(axis=1)
    W = W.copy()
    W[:, K] *= _ratio(numerator, denominator)
    return W


def _multiply_H(fit: _Fit, Q: Array, W: Array, H: Array, sources: slice) -> Array:
    """H_j ← H_j · Σ_i (diag(q_ij) W_j)ᵀ (v̂_i⁻² v_i) / Σ_i (diag(q_ij) W_j)ᵀ v̂_i⁻¹ for the j in `sources`.

    Q : (F, I, J) or (I, J), W : (F, K), H : (K, N). Ozerov & Févotte 2010, (40), doi:10.1109/TASL.2009.2031510.
    """
    K, q = fit.components(Q, sources)
    qW = q * W[:, np.newaxis, K]
    n_frames = H.shape[1]
    numerator, denominator = np.zeros((2, len(K), n_frames))
    for bins, ratio, inverse in fit.ratios(Q):
        qW_T = qW[bins].reshape(-1, len(K)).T  # channels below each other, as the sum over i and f wants them
        numerator += qW_T @ ratio.reshape(-1, n_frames)
        denominator += qW_T @ inverse.reshape(-1, n_frames)
    H = H.copy()
    H[K] *= _ratio(numerator, denominator)
    return H


def _normalise_mu(Q: Array, W: Array, H: Array, groups: list[NDArray[np.intp]]) -> tuple[Array, Array, Array]:
    """Σ_i q_ij = 1, the scale goes to W_j; then Σ_f w_fk = 1, the scale goes to H.

    Q : (F, I, J) or (I, J), W : (F, K), H : (K, N). The model stays the same.
    """
    energy = Q.sum(axis=-2)
    energy = np.where(energy > 0, energy, 1)
    return Q / energy[..., np.newaxis, :], *_normalise_WH(energy, W, H, groups)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 1 where there is nothing to learn from, that is where both vanish."""
    return np.divide(numerator, denominator, out=np.ones_like(numerator), where=denominator > 0)


def _result(
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


# ------------------------------------------------------------------------------------------------------ initial values


def initialise(
    X: ArrayLike,
    n_sources: int,
    n_components: int | Sequence[int],
    method: str = "blind",
    *,
    mixing: str = "convolutive",
    images: ArrayLike | None = None,
    rng: int | np.random.Generator = 0,
) -> MNMFInit:
    """Initial values for `mnmf_em`, `mnmf_mu` and `ilrma`: A, Q, W, H, noise.

    X : (n_channels, n_freq, n_frames); n_components : per source, one number or one per source
    method : "blind", from the images that `nmflib.blind` finds, knowing only X; "random", the authors' recipe;
        "oracle", from the true `images`, for teaching
    images : (n_sources, n_channels, n_freq, n_frames), for "oracle"
    mixing : "convolutive" or "instantaneous", the shape of A and Q

    >>> X = np.random.default_rng(0).standard_normal((2, 5, 8)) + 0j
    >>> start = initialise(X, 3, [2, 2, 1], "random", rng=1)
    >>> start.A.shape, start.source_of_component.tolist(), mnmf_mu(X, 3, [2, 2, 1], n_iter=1, init=start).Q.shape
    ((5, 2, 3), [0, 0, 1, 1, 2], (5, 2, 3))
    """
    X = as_mixture(X)
    n_sources = _as_count(n_sources, "n_sources", least=1)
    source_of_component = components_of_sources(n_components, n_sources)
    _one_of(mixing, "mixing", MIXINGS)
    _one_of(method, "method", METHODS)
    if (images is not None) != (method == "oracle"):
        found = "missing" if images is None else "given"
        raise ValueError(f"images is {found} and method is {method!r}; images are needed for 'oracle' and only there")
    generator = np.random.default_rng(rng)
    if method == "random":
        return _random_start(X, n_sources, source_of_component, mixing, generator)
    if method == "blind":
        from nmflib.blind import separate_blind

        images = separate_blind(X, n_sources, rng=generator)
    return _start_from_images(X, _as_images(images, (n_sources, *X.shape)), source_of_component, mixing, generator)


def _random_start(
    X: Array, n_sources: int, source_of_component: NDArray[np.intp], mixing: str, rng: np.random.Generator
) -> MNMFInit:
    """The authors' recipe: with z normal, |a_ij| = (1.9 |z| + .1) / 2 of random phase (instantaneous: none),
    w_fk = (|z| + 1) / 2 times the mean power of bin f, h_kn = (|z| + 1) / 2, q = |a|², noise = mean power / 100.
    """
    n_channels, n_freq, n_frames = X.shape
    n_all = len(source_of_component)
    shape = (n_freq, n_channels, n_sources) if mixing == "convolutive" else (n_channels, n_sources)
    power = _bin_power(X)
    A = 0.5 * (1.9 * np.abs(rng.standard_normal(shape)) + 0.1)
    Q = A**2
    if mixing == "convolutive":
        direction = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        A = A * direction / np.abs(direction)
    W = 0.5 * (np.abs(rng.standard_normal((n_freq, n_all))) + 1) * power[:, np.newaxis]
    H = 0.5 * (np.abs(rng.standard_normal((n_all, n_frames))) + 1)
    return MNMFInit(A=A, Q=Q, W=W, H=H, noise=power / 100, source_of_component=source_of_component)


def _start_from_images(
    X: Array, images: Array, source_of_component: NDArray[np.intp], mixing: str, rng: np.random.Generator
) -> MNMFInit:
    """A model of known or estimated source images (J, I, F, N).

    a_j : principal direction of the image in each bin (instantaneous: of all bins together)
    q_ij : its share of energy in channel i; W_j, H_j : IS-NMF of its power
    noise : the power X has beside the images, at least that of its bin / 100
    """
    n_sources = len(images)
    by_bin = images.astype(complex).transpose(2, 0, 1, 3)  # (F, J, I, N)
    covariance = np.matmul(by_bin, by_bin.conj().swapaxes(-1, -2))
    if mixing == "instantaneous":
        covariance = covariance.sum(axis=0).real
    A = np.linalg.eigh(covariance)[1][..., -1].swapaxes(-1, -2)  # the eigenvalues of eigh increase
    energy = np.diagonal(covariance, axis1=-2, axis2=-1).real.swapaxes(-1, -2)
    total = energy.sum(axis=-2, keepdims=True)
    Q = np.divide(energy, total, out=np.full_like(energy, 1 / X.shape[0]), where=total > 0)
    W = np.empty((X.shape[1], len(source_of_component)))
    H = np.empty((len(source_of_component), X.shape[2]))
    groups = [np.flatnonzero(source_of_component == j) for j in range(n_sources)]
    for image, K_j in zip(images.astype(complex), groups, strict=True):
        power = (image.real**2 + image.imag**2).sum(axis=0)
        model = nmf(power, len(K_j), beta=0, update="heuristic", n_iter=100, rng=rng)
        W[:, K_j], H[K_j] = model.W, model.H
    A, W, H = _normalise_em(A, W, H, groups)
    noise = np.maximum(_bin_power(X - images.sum(axis=0)), _bin_power(X) / 100)
    return MNMFInit(A=A, Q=Q, W=W, H=H, noise=noise, source_of_component=source_of_component)


def check_start(
    X: Array,
    n_sources: int,
    n_components: int | Sequence[int],
    mixing: str,
    init: MNMFInit | None,
    rng: np.random.Generator,
) -> MNMFInit:
    """The initial values in full and in double precision, drawn or checked: A, Q, W, H, noise (F, I)."""
    n_sources = _as_count(n_sources, "n_sources", least=1)
    source_of_component = components_of_sources(n_components, n_sources)
    if init is None:
        init = initialise(X, n_sources, n_components, "random", mixing=mixing, rng=rng)
    n_channels, n_freq, n_frames = X.shape
    n_all = len(source_of_component)
    W = as_factor(init.W, "init.W", (n_freq, n_all))
    H = as_factor(init.H, "init.H", (n_all, n_frames))
    if init.source_of_component is not None:
        given = np.asarray(init.source_of_component)
        if not np.array_equal(np.sort(given.ravel()), source_of_component):
            raise ValueError(
                f"init.source_of_component is {given.tolist()}; with n_components={n_components} it must hold, in any "
                f"order, {source_of_component.tolist()}"
            )
        source_of_component = given.ravel().astype(np.intp)
    shape = (n_freq, n_channels, n_sources) if mixing == "convolutive" else (n_channels, n_sources)
    if init.A is None and init.Q is None:
        raise ValueError("init has neither A nor Q; one of them is needed")
    Q = as_factor(np.abs(_given(init.A)).astype(float) ** 2 if init.Q is None else init.Q, "init.Q", shape)
    A = np.sqrt(Q) if init.A is None else np.asarray(init.A)
    if A.shape != shape or A.dtype.kind not in "iufc" or not np.isfinite(A).all():
        raise ValueError(f"init.A has shape {A.shape} and type {A.dtype}; it must be finite numbers of shape {shape}")
    if mixing == "convolutive":
        A = A.astype(complex)
    elif np.any(A.imag):
        raise ValueError("init.A is complex; instantaneous mixing is real")
    else:
        A = A.real.astype(float)
    noise = _bin_power(X) / 100 if init.noise is None else as_nonnegative(init.noise, "init.noise").astype(float)
    if noise.shape not in ((n_freq,), (n_freq, n_channels)):
        raise ValueError(f"init.noise has shape {noise.shape}; it must be ({n_freq},) or ({n_freq}, {n_channels})")
    noise = np.broadcast_to(noise.reshape(n_freq, -1), (n_freq, n_channels))
    return MNMFInit(A=A, Q=Q, W=W, H=H, noise=noise, source_of_component=source_of_component)


# ------------------------------------------------------------------------------------------------------- small helpers


def _source_powers(W: Array, H: Array, groups: list[NDArray[np.intp]]) -> Array:
    """p_j = W_j H_j, (J, F, N). W : (F, K), H : (K, N)"""
    return np.stack([W[:, K_j] @ H[K_j] for K_j in groups])


def _normalise_WH(energy: Array, W: Array, H: Array, groups: list[NDArray[np.intp]]) -> tuple[Array, Array]:
    """W_j takes the scale `energy` (F, J) or (J,) of its source; then Σ_f w_fk = 1, the scale goes to H."""
    W = W.copy()
    for j, K_j in enumerate(groups):
        W[:, K_j] *= energy[..., j, np.newaxis]
    total = W.sum(axis=0)
    total = np.where(total > 0, total, 1)
    return W / total, H * total[:, np.newaxis]


def _every_bin(M: Array, n_freq: int) -> Array:
    """A or Q as (F, I, J), also when it is the same (I, J) for all bins."""
    return M if M.ndim == 3 else np.broadcast_to(M, (n_freq, *M.shape))


def _chunks(n_freq: int, n_frames: int) -> list[slice]:
    """Slices of bins with about CHUNK entries each."""
    step = max(1, CHUNK // n_frames)
    return [slice(f, f + step) for f in range(0, n_freq, step)]


def _unit_scale(X: Array) -> tuple[Array, int]:
    """X as (F, I, N) complex128 divided by 2^k, so that its mean magnitude is near 1, and k."""
    exponent = scale_exponent(np.abs(X))
    x = np.ascontiguousarray(X.transpose(1, 0, 2), dtype=complex)
    return np.ldexp(x.view(float), -exponent).view(complex), exponent


def _power(z: Array) -> Array:
    """|z|²"""
    return z.real**2 + z.imag**2


def _bin_power(X: Array) -> Array:
    """mean_in |x|², (F,). X : (I, F, N)"""
    return (X.real.astype(float) ** 2 + X.imag.astype(float) ** 2).mean(axis=(0, 2))


def _noise_floor(x: Array, least: float) -> Array:
    """The least noise variance, (F, I), relative to the power of the bin. x : (F, I, N), mean magnitude near 1 or 0."""
    power = (x.real**2 + x.imag**2).mean(axis=(1, 2))
    floor = np.maximum(least * power, SILENCE_FLOOR)
    return np.broadcast_to(floor[:, np.newaxis], x.shape[:2])


def _groups(model: MNMFInit, n_sources: int) -> list[NDArray[np.intp]]:
    """K_j, the components of every source."""
    return [np.flatnonzero(_given(model.source_of_component) == j) for j in range(n_sources)]


def _given(x: Array | None) -> Array:
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
    return np.repeat(np.arange(n_sources), [_as_count(n, "n_components", least=1) for n in numbers])


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


def _as_images(images: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """Source images of the right shape, or a ValueError."""
    array = np.asarray(images)
    if array.shape != shape:
        raise ValueError(f"images has shape {array.shape}; it must be {shape}: sources, channels, bins, frames")
    return in_range(as_stft(array, "images", ndim=4), "images")


def as_factor(x: ArrayLike, name: str, shape: tuple[int, ...]) -> Array:
    """A non-negative initial array of the right shape in double precision, or a ValueError."""
    factor = as_nonnegative(x, name).astype(float)
    if factor.shape != shape:
        raise ValueError(f"{name} has shape {factor.shape}; it must be {shape}")
    return factor


def _one_of(value: str, name: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {allowed}")
