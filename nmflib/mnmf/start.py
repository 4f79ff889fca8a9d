"""Initial values for the multichannel algorithms: at random, from a blind separation, or from true images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._arrays import bin_power, power_of
from nmflib._check import Array, as_count, as_factor, as_mixture, as_nonnegative, as_stft, check_choice, in_range
from nmflib._nmf import nmf
from nmflib._unit import unit_scale
from nmflib.blind import separate_blind
from nmflib.mnmf.model import Groups, MNMFInit, components_of_sources, normalise_A

MIXINGS = ("convolutive", "instantaneous")
METHODS = ("blind", "random", "oracle")


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
    method : "blind" uses the images that `separate_blind` finds in X; "random" is the authors' recipe; "oracle" uses
        the true `images`, (n_sources, n_channels, n_freq, n_frames), for teaching
    mixing : "convolutive" or "instantaneous", which decides the shape of A and Q

    >>> from nmflib import mnmf_mu
    >>> X = np.random.default_rng(0).standard_normal((2, 5, 8)) + 0j
    >>> start = initialise(X, 3, [2, 2, 1], "random", rng=1)
    >>> start.A.shape, start.source_of_component.tolist(), mnmf_mu(X, 3, [2, 2, 1], n_iter=1, init=start).Q.shape
    ((5, 2, 3), [0, 0, 1, 1, 2], (5, 2, 3))
    """
    X = as_mixture(X)
    n_sources = as_count(n_sources, "n_sources", least=1)
    source_of_component = components_of_sources(n_components, n_sources)
    check_choice(mixing, "mixing", MIXINGS)
    check_choice(method, "method", METHODS)
    if (images is not None) != (method == "oracle"):
        found = "missing" if images is None else "given"
        raise ValueError(f"images is {found} and method is {method!r}; images are needed for 'oracle' and only there")
    generator = np.random.default_rng(rng)
    if method == "random":
        return _random_start(X, n_sources, source_of_component, mixing, generator)
    if method == "blind":
        images = separate_blind(X, n_sources, mixing=mixing, rng=generator)
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
    power = bin_power(X)
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
    """The model of known or estimated source images (J, I, F, N).

    a_j : principal direction of the image in each bin (instantaneous: of all bins together)
    q_ij : share of channel i in its energy; W_j, H_j : IS-NMF of its power
    noise : power of X without the images, but at least that of the bin / 100
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
        model = nmf(power_of(image).sum(axis=0), len(K_j), beta=0, update="heuristic", n_iter=100, rng=rng)
        W[:, K_j], H[K_j] = model.W, model.H
    A, W, H = normalise_A(A, W, H, groups)
    noise = np.maximum(bin_power(X - images.sum(axis=0)), bin_power(X) / 100)
    return MNMFInit(A=A, Q=Q, W=W, H=H, noise=noise, source_of_component=source_of_component)


class Start(NamedTuple):
    """The mixture x = X / 2^exponent as (F, I, N), and initial values for it in double precision, none of them missing.

    noise : (n_freq, n_channels); groups : K_j, the components of each source
    """

    x: Array
    exponent: int
    A: Array
    Q: Array
    W: Array
    H: Array
    noise: Array
    source_of_component: NDArray[np.intp]
    groups: Groups


def check_start(
    X: Array,
    n_sources: int,
    n_components: int | Sequence[int],
    mixing: str,
    init: MNMFInit | None,
    rng: np.random.Generator,
) -> Start:
    """The initial values for X, from `init` or drawn from `rng`, in the unit in which `unit_scale` gives X."""
    n_sources = as_count(n_sources, "n_sources", least=1)
    source_of_component = components_of_sources(n_components, n_sources)
    if init is None:
        init = _random_start(X, n_sources, source_of_component, mixing, rng)
    n_channels, n_freq, n_frames = X.shape
    A, Q = _mixing(init, (n_freq, n_channels, n_sources) if mixing == "convolutive" else (n_channels, n_sources))
    W = as_factor(init.W, "init.W", (n_freq, len(source_of_component)))
    H = as_factor(init.H, "init.H", (len(source_of_component), n_frames))
    if init.source_of_component is not None:
        given = np.asarray(init.source_of_component)
        if not np.array_equal(np.sort(given.ravel()), source_of_component):
            raise ValueError(
                f"init.source_of_component is {given.tolist()}; with n_components={n_components} it must hold, in any "
                f"order, {source_of_component.tolist()}"
            )
        source_of_component = given.ravel().astype(np.intp)
    noise = bin_power(X) / 100 if init.noise is None else as_nonnegative(init.noise, "init.noise").astype(float)
    if noise.shape not in ((n_freq,), (n_freq, n_channels)):
        raise ValueError(f"init.noise has shape {noise.shape}; it must be ({n_freq},) or ({n_freq}, {n_channels})")
    noise = np.broadcast_to(noise.reshape(n_freq, -1), (n_freq, n_channels))
    groups = [np.flatnonzero(source_of_component == j) for j in range(n_sources)]
    x, exponent = unit_scale(X)
    H, noise = np.ldexp(H, -2 * exponent), np.ldexp(noise, -2 * exponent)
    return Start(x, exponent, A, Q, W, H, noise, source_of_component, groups)


def _mixing(init: MNMFInit, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """A and Q of this shape; one of them may be missing in `init`."""
    if init.A is None and init.Q is None:
        raise ValueError("init has neither A nor Q; one of them is needed")
    Q = as_factor(np.abs(np.asarray(init.A)).astype(float) ** 2 if init.Q is None else init.Q, "init.Q", shape)
    A = np.sqrt(Q) if init.A is None else np.asarray(init.A)
    if A.shape != shape or A.dtype.kind not in "iufc" or not np.isfinite(A).all():
        raise ValueError(f"init.A has shape {A.shape} and type {A.dtype}; it must be finite numbers of shape {shape}")
    if len(shape) == 2 and np.any(A.imag):
        raise ValueError("init.A is complex; instantaneous mixing is real")
    return A.astype(complex) if len(shape) == 3 else A.real.astype(float), Q


def _as_images(images: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """Source images of this shape whose powers can be represented."""
    array = np.asarray(images)
    if array.shape != shape:
        raise ValueError(f"images has shape {array.shape}; it must be {shape}: sources, channels, bins, frames")
    return in_range(as_stft(array, "images", ndim=4), "images")
