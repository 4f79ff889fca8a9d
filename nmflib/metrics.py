"""Measures of a separation: SDR and BSS Eval in dB, correlation, best order. Silence gives ±inf dB, never NaN."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np

from nmflib._check import Array, as_real


def correlation(signal: Array, estimate: Array) -> float:
    """Normalised correlation <s, ŝ> / (‖s‖ ‖ŝ‖), in [−1, 1]; 0 when one of them is silent.

    >>> correlation([3.0, 4.0], [30.0, 40.0])
    1.0
    """
    s, e = (_unit(x) for x in _pair(signal, estimate))
    return float(np.clip(np.vdot(s, e), -1, 1))


def sdr(reference: Array, estimate: Array) -> float:
    """Signal-to-distortion ratio 10 log₁₀ ‖s‖² / ‖s − ŝ‖² in dB; a wrong gain is an error like any other.

    reference, estimate : arrays of one shape, e.g. (n_samples,) or (n_channels, n_samples)

    >>> sdr([1.0, 1.0], [1.0, 0.9]).__round__(2)
    23.01
    """
    s, e = _pair(reference, estimate)
    return _ratio_db(s, s - e)


def si_sdr(reference: Array, estimate: Array) -> float:
    """Scale-invariant SDR in dB: the SDR against the reference at its best gain.

    Le Roux et al. 2019, doi:10.1109/ICASSP.2019.8683855.

    >>> bool(si_sdr([1.0, 2.0, 3.0], [2.0, 4.0, 6.1]) > 30)
    True
    """
    s, e = _pair(reference, estimate)
    if not e.any():
        return -math.inf if s.any() else math.inf
    unit = _unit(s)
    target = np.sum(unit * e) * unit
    return _ratio_db(target, target - e)


@dataclass(frozen=True)
class BSSEval:
    """BSS Eval figures in dB, (n_sources,) each; isr is None for one-channel sources.

    sdr : all errors; isr : spatial (or linear) distortion; sir : interference of the other sources; sar : artefacts
    """

    sdr: Array
    isr: Array | None
    sir: Array
    sar: Array


def bss_eval(references: Array, estimates: Array) -> BSSEval:
    """BSS Eval version 3 by mir_eval: estimate j is compared with reference j, up to a filter of 512 samples.

    references, estimates : (n_sources, n_samples), or images (n_sources, n_channels, n_samples)

    Vincent, Gribonval & Févotte 2006, doi:10.1109/TSA.2005.858005; images: Vincent et al. 2007,
    doi:10.1007/978-3-540-74494-8_69.
    """
    import mir_eval.separation

    s, e = _pair(references, estimates)
    if s.ndim not in (2, 3):
        raise ValueError(
            f"references has shape {s.shape}; it must be (n_sources, n_samples) or (n_sources, n_channels, n_samples)"
        )
    for name, sounds in (("references", s), ("estimates", e)):
        silent = [j for j in range(len(sounds)) if not sounds[j].any()]
        if silent:
            raise ValueError(f"{name} {silent} are silent; BSS Eval is not defined there")
    with warnings.catch_warnings(), mock.patch.object(np.linalg, "linalg", np.linalg, create=True):
        # mir_eval 0.8 catches numpy.linalg.linalg.LinAlgError, a name that NumPy 2.4 no longer has
        warnings.simplefilter("ignore", FutureWarning)
        if s.ndim == 2:
            figures = mir_eval.separation.bss_eval_sources(s, e, compute_permutation=False)
            return BSSEval(figures[0], None, figures[1], figures[2])
        figures = mir_eval.separation.bss_eval_images(s.swapaxes(1, 2), e.swapaxes(1, 2), compute_permutation=False)
        return BSSEval(*figures[:4])


def best_permutation(
    references: Array, estimates: Array, score: Callable[[Array, Array], float] = sdr
) -> tuple[int, ...]:
    """The order of the estimates with the highest mean score: estimates[permutation[j]] belongs to references[j].

    references : (n_sources, ...); estimates : (n_estimates, ...), n_estimates >= n_sources

    >>> best_permutation([[1.0, 0.0], [0.0, 1.0]], [[0.1, 0.9], [0.9, 0.1]])
    (1, 0)
    """
    from scipy.optimize import linear_sum_assignment

    s, e = np.asarray(references), np.asarray(estimates)
    if len(e) < len(s) or s.shape[1:] != e.shape[1:]:
        raise ValueError(
            f"estimates has shape {e.shape}; it must hold at least {len(s)} signals of shape {s.shape[1:]}"
        )
    scores = np.array([[score(reference, estimate) for estimate in e] for reference in s])
    scores = np.where(np.isinf(scores), np.copysign(1e9, scores), scores)
    return tuple(int(j) for j in linear_sum_assignment(scores, maximize=True)[1])


def _pair(reference: Array, estimate: Array) -> tuple[Array, Array]:
    """Both as finite float arrays of one shape, divided by the power of two that brings their peak near 1."""
    s, e = as_real(reference, "reference").astype(float), as_real(estimate, "estimate").astype(float)
    if s.shape != e.shape:
        raise ValueError(f"reference has shape {s.shape} and estimate {e.shape}; they must be the same")
    exponent = math.frexp(max(np.abs(s).max(), np.abs(e).max()))[1]
    return np.ldexp(s, -exponent), np.ldexp(e, -exponent)


def _unit(x: Array) -> Array:
    """x / ‖x‖, computed without over- or underflow; silence stays silence."""
    peak = np.abs(x).max(initial=0)
    if peak == 0:
        return x
    x = x / peak
    return x / np.linalg.norm(x)


def _ratio_db(signal: Array, error: Array) -> float:
    """20 log₁₀ ‖signal‖ / ‖error‖; +inf without error, −inf without signal."""
    numerator, denominator = float(np.linalg.norm(signal)), float(np.linalg.norm(error))
    if denominator == 0:
        return math.inf
    return 20 * math.log10(numerator / denominator) if numerator > 0 else -math.inf
