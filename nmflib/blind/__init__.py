"""Separation that knows only the mixture: the start of `mnmf.initialise(method="blind")`.

`separate_blind` gives images (n_sources, n_channels, n_freq, n_frames) that sum to X, by one of three methods:

- `determined`: as many sources as channels in a room, one demixing matrix per bin;
- `underdetermined`, then `full_rank`: more sources than channels in a room;
- `panned`: instantaneous mixtures, one real mixing matrix for all bins.

Shapes: X, Y (channels or outputs, F, N); P powers (J, F, N); costs (F, J, J), of calling output i source j.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array, as_channels, as_count, check_choice
from nmflib._threads import one_blas_thread
from nmflib._unit import times_power_of_two
from nmflib.blind.arrays import Seed, whiten, with_noise_where_singular
from nmflib.blind.determined import separate_determined
from nmflib.blind.full_rank import full_rank_mnmf
from nmflib.blind.panned import is_panned, separate_panned
from nmflib.blind.underdetermined import cacgmm_masks, delay_masks, most_likely_delays

MIXINGS = ("auto", "convolutive", "instantaneous")
MOST = 5  # sources: every order of them is tried


def as_source_count(n_sources: int, n_channels: int) -> int:
    """The number of sources as an integer, if a blind separation can find so many in so many channels."""
    n_sources = as_count(n_sources, "n_sources", least=1)
    if n_sources > MOST:
        raise ValueError(f"n_sources is {n_sources}; it must be an integer from 1 to {MOST}")
    if n_sources > 1 and not 2 <= n_channels <= n_sources:
        raise ValueError(
            f"n_sources is {n_sources} and there are {n_channels} channels; two sources or more need at least two "
            "channels, and no more channels than sources"
        )
    return n_sources


def separate_blind(X: ArrayLike, n_sources: int, *, mixing: str = "auto", rng: Seed = 0) -> Array:
    """Images (n_sources, I, F, N) of the sources of X (I, F, N), knowing nothing else; they sum to X.

    mixing : "convolutive" for rooms and real microphones, "instantaneous" for panned mixtures, or "auto", decided by X
    rng : draws the starts of the NMFs

    >>> rng = np.random.default_rng(0)
    >>> S = rng.standard_normal((2, 33, 60)) * np.repeat(rng.exponential(size=(2, 1, 60)), 33, axis=1)
    >>> A = rng.standard_normal((33, 2, 2))
    >>> X = np.einsum("fij,jfn->ifn", A, S)
    >>> images = separate_blind(X, 2, mixing="convolutive")
    >>> images.shape, bool(np.allclose(images.sum(0), X))
    ((2, 2, 33, 60), True)
    """
    X = as_channels(X)
    n_sources = as_source_count(n_sources, len(X))
    check_choice(mixing, "mixing", MIXINGS)
    if n_sources == 1 or not X.any():
        return np.broadcast_to(X / n_sources, (n_sources, *X.shape)).astype(X.dtype)
    exponent = math.frexp(max(np.abs(X.real).max(), np.abs(X.imag).max()))[1]
    x = times_power_of_two(X.astype(complex), -exponent)
    with one_blas_thread():
        images = _separate(x, n_sources, mixing, rng)
    images += (x - images.sum(0)) / n_sources  # rounding, and directions that whitening left out
    return times_power_of_two(images, exponent).astype(X.dtype)


def _separate(x: Array, n_sources: int, mixing: str, rng: Seed) -> Array:
    if mixing == "instantaneous" or (mixing == "auto" and is_panned(x)):
        return separate_panned(x, n_sources, rng=rng)
    if n_sources == len(x):
        return separate_determined(x, whiten(with_noise_where_singular(x)), rng=rng)
    masks = cacgmm_masks(x, delay_masks(x, most_likely_delays(x, n_sources)))
    return full_rank_mnmf(x, masks, rng=rng).images(x)


__all__ = ["separate_blind"]
