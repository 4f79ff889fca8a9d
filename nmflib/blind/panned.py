"""Panned (instantaneous) mixtures: x = A s in every bin, with one real mixing matrix A for all bins.

A source that is alone in a bin makes x a real vector times a complex number. In general x = e^{iφ} (a + i b) with real
a ⊥ b, |a| >= |b| (`real_directions`); there, b = 0. The directions a of such bins lie on J lines, the columns of A;
their density gives A (`panned_mixing`). How often loud bins are real tells panned mixtures from rooms (`is_panned`).

*As many sources as channels* (`demix`). One real demixing matrix for all bins, refined on the outputs' own powers,
smoothed over 3 × 3 bins: the iterative projection of AuxIVA (Ono 2011, doi:10.1109/ASPAA.2011.6082320).

*More sources than channels* (`variances`, `images_from_variances`). In each bin at most I sources are taken as active;
a basis of I columns with coordinates s has the cost Σ log |s_i| + log |det| − log prior, the negative logarithm of a
density ∝ 1 / |s|. With the prior of a basis learnt in each bin, a source that is weak there is not called on for
what two others explain. From the powers that this gives, a multichannel NMF with R_j = a_j a_jᵀ + δ 1 fixed learns
the variances (`nmflib.blind.full_rank`); the geometric mean over several numbers of components is closer than any one.

Shapes: X (I, F, N), A (I, J) real with unit columns, images (J, I, F, N).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from nmflib._arrays import power_of
from nmflib._check import Array
from nmflib.blind.arrays import TINY, Seed, smooth
from nmflib.blind.full_rank import fit, wiener_images

REAL = 0.04  # |b| / |x| below which a bin is called real
LOUD, PANNED = 0.02, 0.25  # the share of the bins that is called loud; the share of these that is real when panned
HEARD = 1e-4  # of the power of the loudest frequency: below it, a frequency is left out
CANDIDATES = 3000  # bins whose directions are tried as columns
LINE, APART = 1.0, 4.0  # degrees: width of a line at first, and of what belongs to one that is found
COMPONENTS = (16, 32, 64)  # per source
PRIORS = (0.7, 0.0)  # exponents of the learnt prior of a basis
SPREAD = 1e-4  # δ
TAIL = 1e-9  # of the mean power of an output, added to its local variance


def separate_panned(X: Array, n_sources: int, *, rng: Seed = 0) -> Array:
    """Images (n_sources, I, F, N) of a panned X (I, F, N) whose largest entry is near 1, 2 <= I <= n_sources."""
    A = panned_mixing(X, n_sources)
    if n_sources > len(X):
        return images_from_variances(X, A, rng=rng)
    W = demix(X, A)
    return np.linalg.inv(W).T[:, :, None, None] * np.tensordot(W, X, 1)[:, None]


def real_directions(X: Array) -> tuple[Array, Array]:
    """a / |a| (I, F, N), real, and |b| / |x| (F, N), of x = e^{iφ} (a + i b), a ⊥ b, |a| >= |b|."""
    square = (X**2).sum(0)  # e^{2iφ} (|a|² − |b|²)
    power = power_of(X).sum(0)
    a = (X * np.exp(-0.5j * np.angle(square))).real
    size = np.sqrt((a**2).sum(0))
    return a / (size + TINY), np.sqrt(np.maximum(power - size**2, 0) / (power + TINY))


def is_panned(X: Array) -> bool:
    """Whether X (I, F, N) is panned: the share of real bins among the loud ones is at least PANNED."""
    return real_share(X) >= PANNED


def real_share(X: Array) -> float:
    """The share of bins with |b| < REAL |x| among the loudest LOUD of the upper 7/8 of the band.

    The loudest ones are taken by their power, and by their power relative to the mean of their frequency; the smaller
    share counts. In a room, the phase between the channels takes any value, but a source straight ahead has equal
    phases at low frequencies, where it may be louder than everything else.
    """
    F = X.shape[1]
    upper = X[:, F // 8 : max(F - 1, F // 8 + 1)]  # the last bin of an STFT is real by itself
    power = power_of(upper).sum(0)
    if not power.any():
        return 0.0
    _, imaginary = real_directions(upper)
    mean = power.mean(1)
    heard = mean >= HEARD * mean.max()
    ways = (power, imaginary), (power[heard] / mean[heard, None], imaginary[heard])
    return min(float((b[p >= max(np.quantile(p, 1 - LOUD), TINY)] < REAL).mean()) for p, b in ways)


def panned_mixing(X: Array, n_sources: int) -> Array:
    """A (I, J): the lines on which the directions of real bins are densest, one after the other, then refined."""
    directions, imaginary = real_directions(X)
    power = power_of(X).sum(0)
    real = (imaginary < REAL) & (power > 1e-9 * power.max())
    real[[0, -1]] = False
    real[: X.shape[1] // 64] = False
    if not real.any():
        real = power >= power.max()
    d, weight = directions[:, real], np.sqrt(np.sqrt(power[real]))
    order = np.argsort(-weight, kind="stable")
    tried = order[:: -(-len(order) // CANDIDATES)]
    near = (d[:, tried].T @ d[:, tried]) ** 2 - 1  # −sin² of the angles
    density, free = np.exp(near / (2 * np.deg2rad(LINE) ** 2)), weight[tried]
    columns: list[Array] = []
    for _ in range(n_sources):
        k = int((density @ free * (free > 0.02 * weight[tried])).argmax())
        columns.append(d[:, tried[k]])
        free = free * (1 - np.exp(near[k] / (2 * np.deg2rad(APART) ** 2)))
    return separated(refine_lines(d, weight, separated(np.stack(columns, 1))))


def separated(A: Array) -> Array:
    """A (I, J) whose coinciding columns, of sources that were not found, are replaced by directions far from others."""
    A = A.copy()
    for j in range(1, A.shape[1]):
        if np.abs(A[:, :j].T @ A[:, j]).max() > 1 - 1e-6:
            A[:, j] = np.linalg.eigh(A[:, :j] @ A[:, :j].T)[1] @ (0.1 ** np.arange(len(A)))
            A[:, j] /= np.linalg.norm(A[:, j])
    return A


def refine_lines(d: Array, weight: Array, A: Array) -> Array:
    """A (I, J) after EM for a mixture of J lines, ever narrower, and a uniform class. d : (I, n), weight : (n,)

    A line of width σ has the density exp(−sin² / 2σ²) / (2πσ²)^((I − 1) / 2) of the angle to it.
    """
    n_channels, J = A.shape
    A, share = A.copy(), np.full((J + 1, 1), 1 / (J + 1))
    uniform = math.gamma(n_channels / 2) / math.pi ** (n_channels / 2)
    for sigma in np.deg2rad(np.geomspace(2 * LINE, LINE / 4, 30)):
        lines = np.exp(((A.T @ d) ** 2 - 1) / (2 * sigma**2)) / (2 * np.pi * sigma**2) ** ((n_channels - 1) / 2)
        likelihood = share * np.concatenate([lines, np.full((1, d.shape[1]), uniform)])
        posterior = weight * likelihood / (likelihood.sum(0) + TINY)
        share = posterior.sum(1, keepdims=True) / posterior.sum()
        for j in range(J):
            if share[j] > 1e-6:
                A[:, j] = np.linalg.eigh((d * posterior[j]) @ d.T)[1][:, -1]
    return A * np.where(A.sum(0) < 0, -1.0, 1.0)


def demix(X: Array, A: Array, n_iter: int = 30) -> Array:
    """W (I, I) real, from A⁻¹: w_k ← (W V_k)⁻¹ e_k, w_kᵀ V_k w_k = 1, V_k = Re mean x xᴴ / r_k.

    r_k : the power of output k, smoothed over 3 × 3 bins.
    """
    W, n_channels = np.linalg.inv(A), len(X)
    flat = X.reshape(n_channels, -1)
    trace = power_of(flat).mean()
    for _ in range(n_iter):
        Y = np.tensordot(W, X, 1)
        r = smooth(smooth(power_of(Y), 2).swapaxes(1, 2), 2).swapaxes(1, 2)
        r += TAIL * r.mean((1, 2), keepdims=True) + TINY
        for k in range(n_channels):
            scaled = flat / np.sqrt(r[k].ravel())
            V = (scaled @ scaled.conj().T).real / r[k].size
            V += (1e-12 * np.trace(V) + TINY * trace) * np.eye(n_channels)
            w = np.linalg.solve(W @ V, np.eye(n_channels)[k])
            W[k] = w / np.sqrt(w @ V @ w)
    return W


def variances(X: Array, A: Array, prior: float = 0.0) -> Array:
    """Powers (J, F, N) of the sources if no more than I are active in a bin: Σ_b π_b |s_b|² over the bases b.

    π_b ∝ (prior_b^prior / (|det A_b| Π_i |s_bi|))², prior_b = mean_n π_b, learnt in each bin f when `prior` > 0.
    """
    n_channels, J = A.shape
    bases = list(itertools.combinations(range(J), n_channels))
    S = [np.abs(np.tensordot(np.linalg.inv(A[:, b]), X, 1)) + TINY for b in bases]
    costs = np.stack([np.log(s).sum(0) + np.linalg.slogdet(A[:, b])[1] for b, s in zip(bases, S, strict=True)])
    log_prior = np.zeros((len(bases), X.shape[1], 1))
    for _ in range(8 if prior else 1):
        log = 2 * (log_prior - costs)
        share = np.exp(log - log.max(0))
        share /= share.sum(0)
        log_prior = prior * np.log(share.mean(2, keepdims=True) + 1e-3)
    found = np.zeros((J, *X.shape[1:]))
    for b, s, pi in zip(bases, S, share, strict=True):
        found[list(b)] += pi * s**2
    return found


def images_from_variances(
    X: Array,
    A: Array,
    *,
    components: tuple[int, ...] = COMPONENTS,
    n_iter: int = 15,
    rng: Seed = 0,
    progress: Callable[[float], object] | None = None,
) -> Array:
    """Images by the Wiener filter of low-rank variances, the geometric mean of those of several models.

    One model for every prior of `variances` in PRIORS and number in `components`.
    """
    rng = np.random.default_rng(rng)
    n_channels, J = A.shape
    shape = np.einsum("ij,kj->jik", A, A) + SPREAD * np.eye(n_channels)
    R = np.broadcast_to(shape[:, None].astype(complex), (J, X.shape[1], n_channels, n_channels))
    log, models = np.zeros((J, *X.shape[1:])), list(itertools.product(PRIORS, components))
    for k, (prior, n_components) in enumerate(models):
        model = fit(X, variances(X, A, prior), R, n_components, n_iter, shapes=False, rng=rng)
        log += np.log(model.W @ model.H + TINY)
        if progress is not None:
            progress((k + 1) / len(models))
    return wiener_images(X, np.exp(log / len(models)), R, model.noise)
