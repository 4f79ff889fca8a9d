"""Multichannel NMF with full-rank spatial covariances: the last step of the separation, started from soft masks.

    x ~ N_c(0, Σ),   Σ = Σ_j p_j R_j + ε 1,   p_j = W_j H_j                          per bin f and frame n

R_j (I × I, one per bin) is what the room makes of source j; of rank one it would be a aᴴ, a column of the mixing. With
y = Σ⁻¹ x, and # the geometric mean of two positive matrices, the updates never raise Σ_fn log det Σ + xᴴ Σ⁻¹ x:

    w ← w (Σ_n h yᴴR y / Σ_n h tr Σ⁻¹R)^½,   h likewise over f;      R ← C⁻¹ # R D R,   C = Σ_n p Σ⁻¹,   D = Σ_n p y yᴴ

They are the multiplicative updates of the multichannel Itakura–Saito NMF of Sawada, Kameoka, Araki & Ueda 2013,
doi:10.1109/TASL.2013.2239990, with the source of every component known; R solves their algebraic Riccati equation
R C R = R' D R'. The images are p_j R_j y, the multichannel Wiener filter (Duong, Vincent & Gribonval 2010,
doi:10.1109/TASL.2010.2050716).

Hermitian matrices of all frames are packed as I² real planes (`_hermitian.pack`), and a few bins are treated at a time,
so that what is computed from them stays in the processor's cache. With two channels the model is fitted in single
precision, which takes half of the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmflib._arrays import chunks, power_of
from nmflib._check import Array
from nmflib._hermitian import entry, geometric_mean, invert, pack, pack_matrices, pack_outer, unpack
from nmflib._nmf import nmf
from nmflib.blind.arrays import TINY, Progress, Seed
from nmflib.blind.underdetermined import masked_covariances

COMPONENTS = 32  # per source
PRECISION = {2: np.complex64}  # by the number of channels; of others, complex128


class Model(NamedTuple):
    """W (J, F, K), H (J, K, N), R (J, F, I, I), noise ε (F,)."""

    W: Array
    H: Array
    R: Array
    noise: Array

    def images(self, X: Array) -> Array:
        """The images p_j R_j Σ⁻¹ x, (J, I, F, N), of X (I, F, N)."""
        return wiener_images(X, self.W @ self.H, self.R, self.noise)


def full_rank_mnmf(
    X: Array, masks: Array, n_iter: int = 40, *, exponent: float = 0.5, rng: Seed = 0, progress: Progress | None = None
) -> Model:
    """The model of X (I, F, N) after `n_iter` updates, started from the masks (J, F, N), shares of power.

    At first p_j is an NMF of the masked power, and R_j the masked covariances.
    """
    powers, R = masks * power_of(X).mean(0), masked_covariances(X, masks)
    return fit(X, powers, R, COMPONENTS, n_iter, exponent=exponent, rng=rng, progress=progress)


def part(progress: Progress, first: float, last: float) -> Progress:
    """Shares of a part of the work as shares of the whole."""
    return lambda share: progress(first + (last - first) * share)


def fit(
    X: Array, powers: Array, R: Array, n_components: int, n_iter: int, *,
    shapes: bool = True, exponent: float = 0.5, rng: Seed = 0, progress: Progress | None = None
) -> Model:  # fmt: skip
    """The model of X (I, F, N) after `n_iter` updates of W and H, and, with `shapes`, R.

    W, H start as Itakura–Saito NMFs of `powers` (J, F, N), R (J, F, I, I) as given. ε is 1e-6 of the power of its bin.
    exponent : of the updates of W and H. With 1 the cost falls faster, but nothing proves that it never rises.
    progress : called with the share of the work that is done.
    """
    rng = np.random.default_rng(rng)
    precision = PRECISION.get(len(X), np.complex128)
    X, R, noise = X.astype(precision), R.astype(precision), least_noise(X).astype(precision(0).real.dtype)
    powers = powers.astype(noise.dtype) + noise[:, None]
    starts = [nmf(p, n_components, beta=0, update="heuristic", n_iter=30, rng=rng) for p in powers]
    model = Model(np.stack([s.W for s in starts]), np.stack([s.H for s in starts]), R, noise)
    for t in range(n_iter):
        model = update_H(X, update_W(X, model, exponent), exponent)
        if shapes:
            model = update_R(X, model)
        if progress is not None:
            progress((t + 1) / n_iter)
    return model


def update_W(X: Array, model: Model, exponent: float = 0.5) -> Model:
    """w ← w (Σ_n h yᴴR y / Σ_n h tr Σ⁻¹R)^exponent."""
    W, H_T = np.empty_like(model.W), model.H.swapaxes(1, 2)
    for bins in chunks(*X.shape[1:]):
        R, p = model.R[:, bins], model.W[:, bins] @ model.H
        _, inverse, outer = posterior(X[:, bins], p, R, model.noise[bins])
        ratio = (traces(R, outer) @ H_T) / (traces(R, inverse) @ H_T + TINY)
        W[:, bins] = model.W[:, bins] * ratio**exponent
    return model._replace(W=W)


def update_H(X: Array, model: Model, exponent: float = 0.5) -> Model:
    """h ← h (Σ_f w yᴴR y / Σ_f w tr Σ⁻¹R)^exponent."""
    numerator, denominator = np.zeros((2, *model.H.shape), model.H.dtype)
    for bins in chunks(*X.shape[1:]):
        R, p, W_T = model.R[:, bins], model.W[:, bins] @ model.H, model.W[:, bins].swapaxes(1, 2)
        _, inverse, outer = posterior(X[:, bins], p, R, model.noise[bins])
        numerator += W_T @ traces(R, outer)
        denominator += W_T @ traces(R, inverse)
    return model._replace(H=model.H * (numerator / (denominator + TINY)) ** exponent)


def update_R(X: Array, model: Model) -> Model:
    """R ← C⁻¹ # R D R,  C = mean p Σ⁻¹,  D = mean p y yᴴ: what was seen over what was expected."""
    n_channels, updated = len(X), np.empty_like(model.R)
    for bins in chunks(*X.shape[1:]):
        R, p = model.R[:, bins], model.W[:, bins] @ model.H
        _, inverse, outer = posterior(X[:, bins], p, R, model.noise[bins])
        weight = np.ascontiguousarray(p.transpose(1, 2, 0))  # (f, N, J)
        C, D = (np.moveaxis(unpack((B @ weight).swapaxes(1, 2), n_channels), 1, 0) for B in (inverse, outer))
        size = np.trace(C, axis1=2, axis2=3).real[..., None, None] + TINY
        A, B = np.linalg.inv(C / size + 1e-9 * np.eye(n_channels)), R @ D @ R / size
        G = geometric_mean_two(A, B) if n_channels == 2 else geometric_mean(A, B)
        G = (G + G.conj().swapaxes(2, 3)) / 2
        updated[:, bins] = G + 1e-9 * np.trace(G, axis1=2, axis2=3).real[..., None, None] * np.eye(n_channels)
    return model._replace(R=updated)


def wiener_images(X: Array, P: Array, R: Array, noise: Array) -> Array:
    """Images (J, I, F, N) = p_j R_j Σ⁻¹ x of X (I, F, N). P : (J, F, N), R : (J, F, I, I), noise : (F,)"""
    images = np.empty((len(P), *X.shape), X.dtype)
    for bins in chunks(*X.shape[1:]):
        y, _, _ = posterior(X[:, bins], P[:, bins], R[:, bins], noise[bins])
        for j, p in enumerate(P[:, bins]):
            images[j][:, bins] = ((R[j, bins] @ y) * p[:, None]).swapaxes(0, 1)
    return images


def wiener_images_from_masks(X: Array, masks: Array) -> Array:
    """Images (J, I, F, N) of X (I, F, N): p_j is the masked power, R_j the masked covariances. masks : (J, F, N)"""
    return wiener_images(X, masks * power_of(X).mean(0), masked_covariances(X, masks), least_noise(X))


def least_noise(X: Array) -> Array:
    """ε (F,): 1e-6 of the mean power of the bin, and 1e-12 of that of all bins."""
    power = power_of(X).mean((0, 2))
    return 1e-6 * power + 1e-12 * power.mean() + TINY


def activations(X: Array, model: Model, n_iter: int) -> Array:
    """H (J, K, N) of other frames X (I, F, N), by `n_iter` updates from its mean, W and R fixed."""
    H = np.repeat(model.H.mean(2, keepdims=True), X.shape[2], axis=2)
    model = model._replace(H=H)
    for _ in range(n_iter):
        model = update_H(X, model)
    return model.H


def extend(X: Array, H: Array, n_iter: int = 10) -> Model:
    """The model of other bins X (I, F, N), whose sources have the activations H (J, K, N).

    At first W is an NMF of the power with all H as its dictionary.
    """
    J, K, N = H.shape
    power, noise = power_of(X).mean(0), least_noise(X)
    dictionary = H.reshape(J * K, N).T
    found = nmf(power.T + noise, J * K, beta=0, update="heuristic", n_iter=30, dictionary=dictionary)
    W = np.ascontiguousarray(found.H.reshape(J, K, -1).swapaxes(1, 2))
    P = W @ H
    model = Model(W, H, masked_covariances(X, P / (P.sum(0) + TINY)), noise)
    for _ in range(n_iter):
        model = update_R(X, update_W(X, model))
    return model


def dryness(images: Array) -> float:
    """How alike the phases between the channels are at frequencies 8 Hz apart: near 1 without reverberation, then less.

    images : (J, I, F, N), in a window of 256 ms. The mean over sources and channels of
    |mean_f r_f conj(r_{f+2})|, r the phase of a relative transfer function; bins below −40 dB of the mean do not count.
    """
    values = []
    for image in images:
        power = (np.abs(image) ** 2).mean((0, 2))
        heard = power > 1e-4 * power.mean()
        for channel in image[1:]:
            r = (channel * image[0].conj()).sum(1)
            r = np.where(heard, r / (np.abs(r) + TINY), 0)
            pairs = (heard[2:] & heard[:-2]).sum()
            values.append(np.abs((r[2:] * r[:-2].conj()).sum()) / max(pairs, 1))
    return float(np.mean(values))


def posterior(X: Array, p: Array, R: Array, noise: Array) -> tuple[Array, Array, Array]:
    """y = Σ⁻¹ x (f, I, N), and Σ⁻¹ and y yᴴ packed as (f, I², N). X : (I, f, N), p : (J, f, N), R : (J, f, I, I)"""
    x, n_channels = X.swapaxes(0, 1), len(X)
    Sigma = pack_matrices(R) @ p.swapaxes(0, 1)
    Sigma[:, :n_channels] += noise[:, None, None]
    if n_channels == 2:
        inverse = invert_two(Sigma, noise[:, None])
        a, b, real, imaginary = inverse.swapaxes(0, 1)
        c = real + 1j * imaginary
        y = np.stack([a * x[:, 0] + c * x[:, 1], c.conj() * x[:, 0] + b * x[:, 1]], axis=1)
    else:
        planes, _ = invert(Sigma, np.repeat(noise[:, None], n_channels, axis=1))
        rows = [[entry(planes, i, k) * x[:, k] for k in range(n_channels)] for i in range(n_channels)]
        inverse, y = pack(planes, n_channels), np.stack([sum(row) for row in rows], axis=1)
    return y, inverse, pack_outer(y)


def invert_two(S: Array, least: Array) -> Array:
    """Inverses of 2 × 2 Hermitian matrices packed as (f, 4, N), of eigenvalues of at least `least` (f, 1)."""
    a, b, real, imaginary = S.swapaxes(0, 1)
    precision = 4 * np.finfo(S.dtype).eps  # of the product, which the difference cannot be known better than
    determinant = np.maximum(a * b - real**2 - imaginary**2, least * (a + b) / 2 + precision * a * b)
    return np.stack([b, a, -real, -imaginary], axis=1) / determinant[:, None]


def traces(R: Array, B: Array) -> Array:
    """(J, f, N) tr R_j B >= 0 of R (J, f, I, I) and B packed as (f, I², N), both positive."""
    weight = pack_matrices(R)
    weight[:, R.shape[-1] :] *= 2  # each pair of entries beside the diagonal is stored once
    return np.maximum(weight.swapaxes(1, 2) @ B, 0).swapaxes(0, 1)


def geometric_mean_two(A: Array, B: Array) -> Array:
    """A # B of 2 × 2 Hermitian matrices (..., 2, 2), A positive, B >= 0: (β A + α B) / √(2αβ + tr adj(A) B).

    α = √det A, β = √det B.
    """

    def root(M: Array) -> Array:
        return np.sqrt(np.maximum((M[..., 0, 0] * M[..., 1, 1]).real - np.abs(M[..., 0, 1]) ** 2, 0))

    alpha, beta = root(A), root(B)
    cross = (A[..., 0, 0] * B[..., 1, 1] + A[..., 1, 1] * B[..., 0, 0] - 2 * A[..., 0, 1] * B[..., 1, 0]).real
    scale = 1 / np.sqrt(2 * alpha * beta + np.maximum(cross, 0) + TINY)
    return (beta * scale)[..., None, None] * A + (alpha * scale)[..., None, None] * B
