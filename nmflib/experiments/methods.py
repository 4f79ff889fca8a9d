"""Tools of the programs: EM, MU and ILRMA by one call, the scores of their images, and the seconds they take."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from nmflib import ILRMA, MNMF, ilrma, initialise, mnmf_em, mnmf_mu
from nmflib._check import Array
from nmflib.metrics import best_permutation, sdr


def fit(
    method: str,
    X: Array,
    n_sources: int,
    n_components: int,
    n_iter: int,
    seed: int,
    images: Array | None = None,
    mixing: str = "convolutive",
    **options: Any,
) -> MNMF | ILRMA:
    """The model that the method "EM", "MU" or "ILRMA" fits to X (n_channels, n_freq, n_frames).

    images : (n_sources, n_channels, n_freq, n_frames) to start from; None: the random start of the method
    mixing : of EM and MU, "convolutive" or "instantaneous"; ILRMA has a matrix per bin
    """
    mixing, init = "convolutive" if method == "ILRMA" else mixing, None
    if images is not None:
        init = initialise(X, n_sources, n_components, "oracle", mixing=mixing, images=images, rng=seed)
    if method == "ILRMA":
        return ilrma(X, n_components, n_iter=n_iter, init=init, rng=seed)
    function = {"EM": mnmf_em, "MU": mnmf_mu}[method]
    return function(X, n_sources, n_components, mixing=mixing, n_iter=n_iter, init=init, rng=seed, **options)


def in_order(references: Array, estimates: Array) -> Array:
    """The estimates in the order of the references, (n_sources, n_channels, n_samples) both."""
    return estimates[list(best_permutation(references, estimates))]


def image_sdr(references: Array, estimates: Array) -> list[float]:
    """SDR in dB of every source's image, all channels together, in the best order."""
    return [sdr(s, e) for s, e in zip(references, in_order(references, estimates), strict=True)]


def energy(x: Array, n_axes: int) -> Array:
    """Σ |x|² over the last n_axes."""
    return (x.real**2 + x.imag**2).sum(axis=tuple(range(-n_axes, 0)))


def rounded(names: Iterable[str], values: Iterable[float], digits: int = 2) -> dict[str, float]:
    """The values under their names, with so many decimal places."""
    return {name: round(float(value), digits) for name, value in zip(names, values, strict=True)}


def timed(function: Callable[..., Array], *arguments: Any) -> tuple[Array, float]:
    """The result, and the seconds of CPU it took."""
    started = time.process_time()
    return function(*arguments), time.process_time() - started
