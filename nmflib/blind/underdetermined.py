"""More sources than channels: clusters of the directions x / |x| of all bins, started from delays.

The directions of a bin are clustered by a mixture of complex angular central Gaussians (Ito, Araki & Nakatani 2016,
doi:10.1109/EUSIPCO.2016.7760429), started from the most likely delays of the recording. The prior of a class at (f, n)
is its posterior averaged over neighbouring bins, from the whole band down to a few: that keeps the bins in one order.
The clusters tell where each source is and when it is active; `full_rank` goes on from there.
"""

from __future__ import annotations

import itertools

import numpy as np

from nmflib._check import Array
from nmflib.blind.arrays import TINY, apply, covariance, smooth, unit_trace
from nmflib.blind.determined import DELAY_STEP, MAX_DELAY

LOADING = 0.03  # diagonal loading of a class covariance, relative to its mean power
VOTES = 20000  # bins that vote for delays, spread evenly


def cacgmm_masks(X: Array, masks: Array) -> Array:
    """(J, F, N) soft masks that sum to 1, from the directions z = x / |x| of X (I, F, N), I >= 2, and other masks.

    B_jf (I × I) is the shape of class j in bin f. The posterior of a class is prior · |B|⁻¹ (zᴴ B⁻¹ z)^−I, its prior
    the mean posterior of the neighbouring bins, and B the posterior-weighted mean of zzᴴ / (zᴴ B⁻¹ z), of trace I, plus
    LOADING times the identity. Ito, Araki & Nakatani 2016. The square root of the posteriors, made to sum to 1, softens
    the masks, since most bins contain several sources.
    """
    n_channels, F, _ = X.shape
    z = X / (np.sqrt((np.abs(X) ** 2).sum(0)) + TINY)
    quadratic = np.ones_like(masks)
    for width in (*[2 * F] * 3, *[64] * 3, *[16] * 3, *[4] * 6):
        B = np.stack([covariance(z * weight, z) for weight in masks / quadratic])  # (J, F, I, I)
        B = unit_trace(B) + LOADING * np.eye(n_channels)
        quadratic = np.stack([(z.conj() * apply(b, z)).sum(0).real for b in np.linalg.inv(B)]) + TINY
        prior = masks.mean(1, keepdims=True) if width >= 2 * F else smooth(masks, width)
        log = np.log(prior + TINY) - np.log(np.linalg.det(B).real)[..., None] - n_channels * np.log(quadratic)
        masks = np.exp(log - log.max(0))
        masks /= masks.sum(0)
    masks = np.sqrt(masks)
    return masks / masks.sum(0)


def masked_covariances(X: Array, masks: Array) -> Array:
    """R (J, F, I, I): masked covariances of X (I, F, N) / its power, of trace I, plus LOADING: no source is a point."""
    P = (np.abs(X) ** 2).mean(0)
    return unit_trace(np.stack([covariance(X * mask / (P + TINY), X) for mask in masks])) + LOADING * np.eye(len(X))


def delay_masks(X: Array, delays: Array) -> Array:
    """(J, F, N) soft masks of J delays between the first and the last channel, in samples."""
    F = X.shape[1]
    phase = X[-1] * X[0].conj()
    phase = phase / (np.abs(phase) + TINY)
    steering = np.exp(-1j * np.pi / max(F - 1, 1) * np.outer(delays, np.arange(F)))
    closeness = np.einsum("jf,fn->jfn", steering.conj(), phase).real  # the phase of a delay d is exp(−iωd)
    masks = np.exp(3 * closeness)
    return masks / masks.sum(0)


def most_likely_delays(X: Array, n_sources: int) -> Array:
    """(J,) delays d, in samples, that maximise Σ_fn max_j exp(3 cos(φ + ωd_j)), φ the phase of the last channel.

    Every bin counts for the delay it is closest to, so that delays less than a wavelength apart are told apart. One
    delay after the other is added, then exchanged while that helps. At most VOTES bins are used.
    """
    F = X.shape[1]
    product = (X[-1] * X[0].conj()).ravel()
    voting = np.flatnonzero(product)
    voting = voting[:: -(-len(voting) // VOTES) or 1]
    omega = (np.pi / max(F - 1, 1) * (voting // X.shape[2])).astype(np.float32)
    delay = np.arange(-MAX_DELAY, MAX_DELAY + DELAY_STEP / 2, DELAY_STEP)
    fit = np.exp(3 * np.cos(np.angle(product[voting]).astype(np.float32) + np.outer(delay, omega).astype(np.float32)))
    chosen: list[int] = []
    best = -1.0
    for j in itertools.cycle(range(n_sources)):
        others = fit[[c for k, c in enumerate(chosen) if k != j]].max(0, initial=0.0)
        totals = np.maximum(fit, others).sum(1, dtype=float)
        k = int(totals.argmax())
        if j == len(chosen):
            chosen.append(k)
            unchanged, best = 0, totals[k]
        elif totals[k] > best * (1 + 1e-9):
            unchanged, best, chosen[j] = 0, totals[k], k
        else:
            unchanged += 1
        if unchanged == n_sources:
            break
    return delay[chosen]
