"""Grouping of components by the truth or by k-means, and the one-channel chain from samples to sources."""

from collections.abc import Iterable

import numpy as np

from nmflib._check import Array
from nmflib._nmf import NMF, nmf
from nmflib.separate import group, wiener
from nmflib.stft import STFT


def group_oracle(model: NMF, references: Array) -> Array:
    """Label each component with the reference that dominates where the component has its energy: (n_components,).

    references : (n_sources, n_freq, n_frames) true powers or magnitudes; in practice they are not known
    """
    shares = np.asarray(references) / np.maximum(np.sum(references, axis=0), np.finfo(float).tiny)
    owned = np.einsum("fk,jfn,kn->jk", model.W, shares, model.H, optimize=True)
    return np.asarray(np.argmax(owned, axis=0))


def group_blind(model: NMF, *, by: str = "activations", rng: int = 0) -> Array:
    """Label the components 0 or 1 without knowing the sources, by k-means: (n_components,).

    by : "activations" (rows of H that rise and fall together) or "spectra" (columns of W of similar shape)
    """
    from sklearn.cluster import KMeans

    if by not in ("activations", "spectra"):
        raise ValueError(f"by is {by!r}; it must be 'activations' or 'spectra'")
    rows = np.sqrt(model.H if by == "activations" else model.W.T)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(float).tiny)
    return KMeans(2, n_init=10, random_state=rng).fit_predict(rows)


def nmf_sources(
    mixture: Array,
    references: Array,
    stft: STFT,
    n_components: int = 2,
    *,
    beta: float = 1.0,
    n_iter: int = 100,
    seeds: Iterable[int] = (0,),
) -> tuple[Array, NMF]:
    """The whole chain on one channel: STFT, NMF of |X|, grouping of the components, masks, inverse STFT.

    mixture : (n_samples,); references : (n_sources, n_samples), used only to group the components
    seeds : one start each; the factorization of lowest cost is used
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
    parts = group(model.components(), group_oracle(model, np.abs(stft(references))), len(references))
    return stft.inverse(wiener(X, parts), len(mixture)), model
