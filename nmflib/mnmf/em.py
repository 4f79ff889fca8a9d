"""EM for the multichannel model, on the exact likelihood. Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nmflib._arrays import SILENCE_FLOOR, every_bin, power_of
from nmflib._check import Array, as_count, as_mixture, check_choice
from nmflib._loop import run
from nmflib.mnmf.model import MNMF, Callback, Groups, MNMFInit, fitted, normalise_A, source_powers
from nmflib.mnmf.posterior import Expectation, e_step
from nmflib.mnmf.start import MIXINGS, check_start

NOISES = ("anneal", "fixed", "isotropic", "diagonal")
MIXING_UPDATES = ("weighted", "paper")

# what these keep finite is explained in nmflib/mnmf/__init__.py
NOISE_FLOOR = 1e-14
ESTIMATE_FLOOR = 1e-7
RIDGE = 1e-15
LOUDEST = 4.0
LEAST_GAIN = 1e-8


def mnmf_em(
    X: ArrayLike,
    n_sources: int,
    n_components: int | Sequence[int],
    *,
    mixing: str = "convolutive",
    noise: str = "diagonal",
    mixing_update: str = "weighted",
    inject_noise: bool = False,
    final_noise: float | None = None,
    n_iter: int = 200,
    init: MNMFInit | None = None,
    rng: int | np.random.Generator = 0,
    callback: Callback | None = None,
) -> MNMF:
    """Fit the multichannel model by EM on the exact likelihood: cost = Σ_fn log(π^I det Σ_x) + xᴴ Σ_x⁻¹ x.

    X : (n_channels, n_freq, n_frames) STFT; any number of channels and sources, even more sources than channels
    n_components : components per source, one number or one per source
    mixing : "convolutive", a matrix per bin, or "instantaneous", one real matrix for all bins
    noise : "diagonal" estimates (25) a variance per bin and channel, "isotropic" one per bin; "fixed" keeps that of
        init; "anneal", the authors' choice, lowers it linearly in σ over the n_iter + 1 E-steps, from the initial
        variance to `final_noise` (None: 1e-8 times the initial one), and needs hundreds of iterations
    mixing_update : "weighted" gives bins the weight 1 / noise variance in the instantaneous A, which is the M-step;
        "paper" gives them equal weights (29), which can raise the cost. Convolutive mixing is the same for both.
    inject_noise : with "anneal", add noise of the current variance to X in every E-step; `cost` is that of the noisy X
    init : the initial values; None: `initialise(X, n_sources, n_components, "random", rng=rng)`
    callback : called as callback(iteration, model) after every update, with the MNMF so far

    The result has Σ_i abs(a_ij)² = 1, a_1j >= 0 and Σ_f w_fk = 1. A complex64 X gives complex64 and float32 results.
    Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 8)) + 1j * rng.standard_normal((2, 5, 8))
    >>> model = mnmf_em(X, 3, 2, n_iter=10)
    >>> model.A.shape, model.W.shape, model.H.shape, model.noise.shape, model.cost.shape
    ((5, 2, 3), (5, 6), (6, 8), (5, 2), (11,))
    >>> model.images(X).shape
    (3, 2, 5, 8)
    """
    X, n_iter = as_mixture(X), as_count(n_iter, "n_iter", least=0)
    check_choice(mixing, "mixing", MIXINGS)
    check_choice(noise, "noise", NOISES)
    check_choice(mixing_update, "mixing_update", MIXING_UPDATES)
    if inject_noise and noise != "anneal":
        raise ValueError(f"inject_noise needs noise='anneal', noise is {noise!r}")
    if final_noise is not None and not (noise == "anneal" and 0 <= final_noise < math.inf):
        raise ValueError(f"final_noise is {final_noise!r}; it must be None, or a variance >= 0 with noise='anneal'")
    generator = np.random.default_rng(rng)
    start = check_start(X, n_sources, n_components, mixing, init, generator)

    x, exponent = start.x, start.exponent
    Sigma_b = np.maximum(start.noise, _noise_floor(x, NOISE_FLOOR))
    final = None if final_noise is None else math.ldexp(final_noise, -2 * exponent)
    annealed = _annealed(x, Sigma_b, final, n_iter + 1) if noise == "anneal" else None
    log_unit = x.size * (math.log(math.pi) + 2 * exponent * math.log(2))

    def model(theta: Theta, cost: Array) -> MNMF:
        A, W, H, Sigma_b = theta
        return fitted(start.source_of_component, W, H, cost + log_unit, (exponent, X.dtype), A=A, Sigma_b=Sigma_b)

    theta, injected = Theta(start.A, start.W, start.H, Sigma_b), generator if inject_noise else None
    iterates = _em(x, theta, start.groups, noise, mixing_update, annealed=annealed, injected=injected)
    return run(iterates, n_iter, model, callback)


class Theta(NamedTuple):
    """The parameters: A (F, I, J) or (I, J), W (F, K), H (K, N), Sigma_b (F, I)."""

    A: Array
    W: Array
    H: Array
    Sigma_b: Array


def _em(
    x: Array, theta: Theta, groups: Groups, noise: str, mixing_update: str, *,
    annealed: Iterator[Array] | None, injected: np.random.Generator | None
) -> Iterator[tuple[Theta, float]]:  # fmt: skip
    """E-step, M-step, E-step, …: the parameters and C1 after every E-step.

    x : (F, I, N); annealed : Σ_b of every E-step, if it is scheduled; injected : draws noise that is added to x
    """
    R_xx = np.einsum("fin,fin->fi", x, x.conj()).real / x.shape[2]
    most = LOUDEST * float(power_of(x).sum(axis=1).max())
    while True:
        if annealed is not None:
            theta = theta._replace(Sigma_b=next(annealed))
        noisy = x if injected is None else x + _complex_noise(theta.Sigma_b, x.shape[2], injected)
        A, W, H, Sigma_b = theta
        E = e_step(noisy, every_bin(A, len(x)), source_powers(W, H, groups), Sigma_b)
        yield theta, E.C1
        A = update_A(E.R_xs, E.R_ss, A) if A.ndim == 3 else update_A_all_bins(E, Sigma_b, A, mixing_update)
        if noise in ("isotropic", "diagonal"):
            Sigma_b = update_noise(R_xx, E, every_bin(A, len(x)), noise)
            Sigma_b = np.maximum(Sigma_b, _noise_floor(x, ESTIMATE_FLOOR))
        W_new = update_W(W, H, E.minus_gradient, groups, most)
        H = update_H(W, W_new, H, E.minus_gradient, groups, most)
        theta = Theta(*normalise_A(A, W_new, H, groups), Sigma_b)


def update_A(R_xs: Array, R_ss: Array, A: Array) -> Array:
    """A ← R_xs R_ss⁻¹, computed as (R_xs + ε A D) (R_ss + ε D)⁻¹ for sources of unit variance, D = diag R_ss.

    R_xs : (..., I, J), R_ss : (..., J, J), A : (..., I, J) the current matrix; a silent source keeps its column
    Ozerov & Févotte 2010, (24), doi:10.1109/TASL.2009.2031510.
    """
    D = np.diagonal(R_ss, axis1=-2, axis2=-1).real
    unit = 1 / np.sqrt(np.maximum(D, SILENCE_FLOOR**2))
    left = R_ss * unit[..., np.newaxis] * unit[..., np.newaxis, :] + RIDGE * np.eye(D.shape[-1])
    right = R_xs * unit[..., np.newaxis, :] + RIDGE * A / unit[..., np.newaxis, :]
    return np.linalg.solve(left.swapaxes(-1, -2), right.swapaxes(-1, -2)).swapaxes(-1, -2) * unit[..., np.newaxis, :]


def update_A_all_bins(E: Expectation, Sigma_b: Array, A: Array, how: str) -> Array:
    """A ← Re Σ_f R_xs [Re Σ_f R_ss]⁻¹ row by row, where bin f has the weight 1 / σ²_b,if ("weighted") or 1 ("paper").

    Sigma_b : (F, I), A : (I, J) real
    Only "weighted" maximises the expected likelihood when the noise variance depends on f.
    Ozerov & Févotte 2010, (29), doi:10.1109/TASL.2009.2031510.
    """
    weight = Sigma_b.min() / Sigma_b if how == "weighted" else np.ones_like(Sigma_b)
    sum_xs = np.einsum("fi,fij->ij", weight, E.R_xs.real)
    sum_ss = np.einsum("fi,fjk->ijk", weight, E.R_ss.real)
    return update_A(sum_xs[:, np.newaxis], sum_ss, A[:, np.newaxis])[:, 0]


def update_noise(R_xx: Array, E: Expectation, A: Array, kind: str) -> Array:
    """Σ_b ← diag(R_xx − A R_xsᴴ − R_xs Aᴴ + A R_ss Aᴴ), (F, I); "isotropic": the mean over the channels.

    R_xx : (F, I) mean |x_i|², A : (F, I, J) the new matrices
    Ozerov & Févotte 2010, (25), doi:10.1109/TASL.2009.2031510.
    """
    A_R_ss_A = np.einsum("fij,fjk,fik->fi", A, E.R_ss, A.conj()).real
    Sigma_b = R_xx - 2 * np.einsum("fij,fij->fi", A, E.R_xs.conj()).real + A_R_ss_A
    if kind == "isotropic":
        Sigma_b[:] = Sigma_b.mean(axis=1, keepdims=True)
    return Sigma_b


def update_W(W: Array, H: Array, minus_gradient: Array, groups: Groups, most: float) -> Array:
    """w_fk ← mean_n u_k,fn / h_kn with u_k = E|c_k|² = p − p² ∂C1/∂p_j, p = w_fk h_kn: w ← w − w² mean_n h ∂C1/∂p_j.

    W : (F, K), H : (K, N), minus_gradient : (J, F, N); most : p does not grow above it
    Ozerov & Févotte 2010, (26), doi:10.1109/TASL.2009.2031510.
    """
    W_new = W.copy()
    for j, K_j in enumerate(groups):
        mean = minus_gradient[j] @ H[K_j].T / H.shape[1]
        W_new[:, K_j] *= np.maximum(1 + W[:, K_j] * mean, LEAST_GAIN)
    return _grown(W, W_new, most, H.max(axis=1))


def update_H(W: Array, W_new: Array, H: Array, minus_gradient: Array, groups: Groups, most: float) -> Array:
    """h_kn ← mean_f u_k,fn / w'_fk with the new w': h ← h mean_f w/w' − h² mean_f (w²/w') ∂C1/∂p_j.

    W, W_new : (F, K), H : (K, N), minus_gradient : (J, F, N); most : p does not grow above it
    Ozerov & Févotte 2010, (26), doi:10.1109/TASL.2009.2031510.
    """
    H_new = H.copy()
    shrink = np.divide(W, W_new, out=np.ones_like(W), where=W_new > 0)
    for j, K_j in enumerate(groups):
        mean = (shrink[:, K_j] * W[:, K_j]).T @ minus_gradient[j] / len(W)
        H_new[K_j] *= np.maximum(shrink[:, K_j].mean(axis=0)[:, np.newaxis] + H[K_j] * mean, LEAST_GAIN)
    return _grown(H, H_new, most, W_new.max(axis=0)[:, np.newaxis])


def _grown(old: Array, new: Array, most: float, other: Array) -> Array:
    """`new`, but no more than the larger of `old` and most / other; EM descends on the way there, too."""
    return np.minimum(new, np.maximum(old, most / np.maximum(other, 1e-290)))


def _annealed(x: Array, first: Array, final: float | None, n: int) -> Iterator[Array]:
    """Σ_b (F, I) of n E-steps, σ(t) = ((n − t) σ_0 + t σ_end) / n for t = 1 … n, from the variances `first` (F, I).

    final : σ²_end; None: 1e-8 times the first one. Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510.
    """
    last = np.maximum(1e-8 * first if final is None else final, _noise_floor(x, NOISE_FLOOR))
    for t in range(1, n + 1):
        yield (((n - t) * np.sqrt(first) + t * np.sqrt(last)) / n) ** 2


def _complex_noise(Sigma_b: Array, n_frames: int, rng: np.random.Generator) -> Array:
    """Circular complex Gaussian noise (F, I, N) of variance Sigma_b (F, I)."""
    pair = rng.standard_normal((2, *Sigma_b.shape, n_frames)) * np.sqrt(Sigma_b / 2)[..., np.newaxis]
    return pair[0] + 1j * pair[1]


def _noise_floor(x: Array, least: float) -> Array:
    """The least noise variance, (F, I), relative to the power of the bin. x : (F, I, N), mean magnitude near 1 or 0."""
    floor = np.maximum(least * power_of(x).mean(axis=(1, 2)), SILENCE_FLOOR)
    return np.broadcast_to(floor[:, np.newaxis], x.shape[:2])
