"""From a factorization to source STFTs: Wiener masks, the phase of the mixture, sums of components."""

from __future__ import annotations

import numpy as np

from nmflib._check import Array, as_nonnegative


def wiener(X: Array, powers: Array) -> Array:
    """Divide the mixture into parts in proportion to their powers; the parts sum to X exactly.

    X : (n_freq, n_frames) or (n_channels, n_freq, n_frames) mixture STFT
    powers : (n_parts, n_freq, n_frames) >= 0, the same for all channels, or (n_parts, n_channels, n_freq, n_frames)
    returns (n_parts, *X.shape)

    In the Gaussian model this is the posterior mean of each part given X (Févotte, Bertin & Durrieu 2009, eq. (35),
    doi:10.1162/neco.2008.04-08-771). Where all powers are zero, the parts have equal shares.

    >>> X = np.array([[2 + 2j, 1.0]])
    >>> wiener(X, [[[3.0, 0.0]], [[1.0, 0.0]]])
    array([[[1.5+1.5j, 0.5+0.j ]],
    <BLANKLINE>
           [[0.5+0.5j, 0.5+0.j ]]])
    """
    X, p = np.asarray(X), as_nonnegative(powers, "powers")
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
    peak = p.max(axis=0)
    silent = peak == 0
    masks = p / np.where(silent, 1, peak)
    masks[:, silent] = 1
    masks /= masks.sum(axis=0)
    return masks * X


def with_phase_of(X: Array, magnitudes: Array) -> Array:
    """Magnitudes with the phase of the mixture, magnitudes · X / |X|. Unlike those of `wiener`, they need not sum to X.

    X : (..., n_freq, n_frames); magnitudes : broadcast against X, e.g. (n_parts, n_freq, n_frames)

    >>> with_phase_of(np.array([[3 + 4j, 0]]), np.array([[10.0, 1.0]]))
    array([[6.+8.j, 1.+0.j]])
    """
    X = np.asarray(X)
    modulus = np.abs(X)
    positive = np.where(modulus > 0, modulus, 1)
    phase = X.real / positive + 1j * (X.imag / positive)  # X / |X| would overflow for the smallest numbers
    return np.asarray(magnitudes) * np.where(modulus > 0, phase, 1)


def group(parts: Array, labels: Array, n_groups: int) -> Array:
    """Sum the parts of the same label: (n_parts, ...) -> (n_groups, ...).

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
