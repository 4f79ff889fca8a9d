"""From a factorization to sounds: the parts of a model, Wiener masks, the mixture's phase, grouping of components."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmflib.nmf import NMF, nmf
from nmflib.stft import STFT

Array = NDArray[Any]


def components(model: NMF) -> Array:
    """The products w_k h_k of which WH is the sum: (n_components, n_freq, n_frames).

    >>> model = NMF(np.ones((3, 2)), np.ones((2, 4)), np.zeros(1), beta=1.0)
    >>> components(model).shape
    (2, 3, 4)
    """
    return model.W.T[:, :, np.newaxis] * model.H[:, np.newaxis, :]


def wiener(X: Array, powers: Array) -> Array:
    """Share the mixture among its parts in proportion to their powers; the parts sum to X exactly.

    X : (n_freq, n_frames) or (n_channels, n_freq, n_frames) mixture STFT
    powers : (n_parts, n_freq, n_frames) >= 0, the same for all channels, or (n_parts, n_channels, n_freq, n_frames)
    returns (n_parts, *X.shape)

    In the Gaussian model this is the posterior mean of each part given X (Févotte, Bertin & Durrieu 2009, eq. (35),
    doi:10.1162/neco.2008.04-08-771). Where all powers are zero the parts get equal shares.

    >>> X = np.array([[2 + 2j, 1.0]])
    >>> wiener(X, [[[3.0, 0.0]], [[1.0, 0.0]]])
    array([[[1.5+1.5j, 0.5+0.j ]],
    <BLANKLINE>
           [[0.5+0.5j, 0.5+0.j ]]])
    """
    X, p = np.asarray(X), np.asarray(powers)
    if X.ndim not in (2, 3):
        raise ValueError(f"X has shape {X.shape}; it must be (n_freq, n_frames) or (n_channels, n_freq, n_frames)")
    if p.ndim == 3 and X.ndim == 3:
        p = p[:, np.newaxis]
    if p.ndim != X.ndim + 1 or p.shape[-2:] != X.shape[-2:] or p.shape[1:-2] not in ((), (1,), X.shape[:-2]):
        raise ValueError(
            f"powers has shape {np.shape(powers)}; with X {X.shape} it must be (n_parts, {X.shape[-2]}, {X.shape[-1]})"
        )
    if not np.isfinite(X).all():
        raise ValueError("X has NaN or infinite entries; it must be finite")
    if p.shape[0] == 0:
        raise ValueError("powers has no parts; it needs at least one")
    if p.dtype.kind == "c" or not np.isfinite(p).all() or (p < 0).any():
        raise ValueError("powers has complex, negative, NaN or infinite entries; it needs real numbers >= 0")
    peak = p.max(axis=0)
    silent = peak == 0
    masks = p / np.where(silent, 1, peak)
    masks[:, silent] = 1
    masks /= masks.sum(axis=0)
    return masks * X


def with_phase_of(X: Array, magnitudes: Array) -> Array:
    """Give magnitudes the phase of the mixture: magnitudes · X / |X|. Unlike `wiener` the parts need not sum to X.

    X : (..., n_freq, n_frames); magnitudes : broadcast against X, e.g. (n_parts, n_freq, n_frames)

    >>> with_phase_of(np.array([[3 + 4j, 0]]), np.array([[10.0, 1.0]]))
    array([[6.+8.j, 1.+0.j]])
    """
    X = np.asarray(X)
    modulus = np.abs(X)
    positive = np.where(modulus > 0, modulus, 1)
    phase = X.real / positive + 1j * (X.imag / positive)  # in parts: the smallest numbers have no reciprocal
    return np.asarray(magnitudes) * np.where(modulus > 0, phase, 1)


def group(parts: Array, labels: Array, n_groups: int) -> Array:
    """Sum the parts that carry the same label: (n_parts, ...) -> (n_groups, ...).

    >>> group(np.array([[1.0], [2.0], [4.0]]), [0, 1, 0], 2)
    array([[5.],
           [2.]])
    """
    parts, labels = np.asarray(parts), np.asarray(labels)
    if labels.shape != parts.shape[:1]:
        raise ValueError(f"labels has shape {labels.shape}; it must hold one label for each of the {len(parts)} parts")
    if labels.size and not ((labels >= 0) & (labels < n_groups)).all():
        raise ValueError(
            f"labels are {sorted(set(labels.tolist()))}; they must be integers from 0 to n_groups − 1 = {n_groups - 1}"
        )
    return np.stack([parts[labels == j].sum(axis=0) for j in range(n_groups)])


def group_oracle(model: NMF, references: Array) -> Array:
    """Label each component with the reference that puts most of its energy where the component is: (n_components,).

    references : (n_sources, n_freq, n_frames) true powers or magnitudes. Cheating, on purpose: it needs the answer.
    """
    shares = np.asarray(references) / np.maximum(np.sum(references, axis=0), np.finfo(float).tiny)
    owned = np.einsum("fk,jfn,kn->jk", model.W, shares, model.H, optimize=True)
    return np.asarray(np.argmax(owned, axis=0))


def group_blind(model: NMF, n_groups: int = 2, *, by: str = "activations", rng: int = 0) -> Array:
    """Label the components without knowing the sources, by k-means: (n_components,).

    by : "activations" (rows of H that rise and fall together), "spectra" (columns of W of similar shape) or
        "chance" (labels drawn at random)
    """
    from sklearn.cluster import KMeans

    n_components = model.W.shape[1]
    if by == "chance":
        return np.asarray(np.random.default_rng(rng).integers(n_groups, size=n_components))
    if by not in ("activations", "spectra"):
        raise ValueError(f"by is {by!r}; it must be 'activations', 'spectra' or 'chance'")
    if n_components < n_groups:
        raise ValueError(f"n_groups is {n_groups}; the model has only {n_components} components")
    rows = np.sqrt(model.H if by == "activations" else model.W.T)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
    return KMeans(n_groups, n_init=10, random_state=rng).fit_predict(rows)


def nmf_sources(
    mixture: Array,
    references: Array,
    stft: STFT,
    n_components: int = 2,
    *,
    beta: float = 1.0,
    masks: bool = True,
    n_iter: int = 100,
    seeds: Iterable[int] = (0,),
) -> tuple[Array, NMF]:
    """The whole chain on one channel: STFT, NMF of |X|, components given to sources, masks, inverse STFT.

    mixture : (n_samples,); references : (n_sources, n_samples), used only to say which component belongs to whom
    masks : True shares the mixture by `wiener`; False takes the products w_k h_k with the mixture's phase
    seeds : one start each; the factorization of lowest cost is kept
    returns estimates (n_sources, n_samples) and the factorization

    >>> t = np.arange(2000)
    >>> references = np.stack([(t < 1200) * np.sin(0.2 * t), (t > 800) * np.sin(1.0 * t)])
    >>> estimates, model = nmf_sources(references.sum(axis=0), references, STFT(128))
    >>> bool(np.allclose(estimates.sum(axis=0), references.sum(axis=0)))
    True
    """
    X = stft(mixture)
    models = [nmf(np.abs(X), n_components, beta=beta, n_iter=n_iter, accelerate=True, rng=seed) for seed in seeds]
    model = min(models, key=lambda model: model.cost[-1])
    parts = group(components(model), group_oracle(model, np.abs(stft(references))), len(references))
    return stft.inverse(wiener(X, parts) if masks else with_phase_of(X, parts), len(mixture)), model
