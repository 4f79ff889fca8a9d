"""ILRMA, Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880: as many sources as microphones, each one an NMF model.

    y = D x per bin f and frame n,   y_j ~ N_c(0, r_j),   r_j = W_j H_j

    cost = Σ_fn [ I log π + Σ_j ( log r_j + |y_j|² / r_j ) ] − 2N Σ_f log |det D_f|

is the exact negative log-likelihood of X: the model is that of `mnmf` with A = D⁻¹ and no noise. Every iteration
updates W, then H, by majorise–minimise steps for the Itakura–Saito divergence, then D row by row by iterative
projection (Ono 2011, doi:10.1109/ASPAA.2011.6082320). None of these steps can raise the cost.

Silence, equal channels or a single frame would send the likelihood to infinity. Therefore x is understood to hold white
noise of variance δ_f, which is `DELTA` times the mean power of its bin (and at least `SILENCE_FLOOR` times that of the
recording): |y_j|² means |y_j|² + δ_f ‖d_j‖² throughout, and r_j stays `R_FLOOR` times the mean output power above zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._arrays import SILENCE_FLOOR, power_of, safe_ratio
from nmflib._check import Array, as_count, as_mixture, as_stft
from nmflib._hermitian import pack_outer, unpack
from nmflib._loop import run
from nmflib._objective import sum_log
from nmflib._unit import unit_scale
from nmflib.mnmf.model import Groups, MNMFInit, normalise_WH, source_powers
from nmflib.mnmf.start import Start, check_start

DELTA = 1e-12
MOST = 1e70  # the largest norm of a row of D for which r_j², its fourth power, can be represented
R_FLOOR = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class ILRMA:
    """Demixing matrices, and the NMF models of the sources that they separate.

    demixing : (n_freq, n_sources, n_channels), y = D x; W : (n_freq, K), H : (K, n_frames) of all sources side by side
    source_of_component : (K,) the source of each component
    cost : (n_iter + 1,) the negative log-likelihood of X at the initial values and after every iteration
    """

    demixing: Array
    W: Array
    H: Array
    source_of_component: NDArray[np.intp]
    cost: NDArray[np.float64]

    def images(self, X: ArrayLike) -> Array:
        """The image D⁻¹_ij y_j of each source at each microphone, (n_sources, n_channels, n_freq, n_frames).

        X : (n_channels, n_freq, n_frames). The images sum to X.
        """
        x = as_stft(X)
        n_freq, _, n_channels = self.demixing.shape
        if x.shape[:2] != (n_channels, n_freq):
            raise ValueError(f"X has shape {x.shape}; this model was fitted to ({n_channels}, {n_freq}, n_frames)")
        D = self.demixing.astype(complex)
        Y = D @ x.transpose(1, 0, 2)
        A = np.linalg.inv(D)
        return np.asarray(np.einsum("fij,fjn->jifn", A, Y).astype(x.dtype))


def ilrma(
    X: ArrayLike,
    n_components: int | Sequence[int],
    *,
    n_iter: int = 60,
    init: MNMFInit | ArrayLike | None = None,
    rng: int | np.random.Generator = 0,
    callback: Callable[[int, ILRMA], object] | None = None,
) -> ILRMA:
    """Separate as many sources as there are microphones.

    X : (n_channels, n_freq, n_frames), two channels or more
    n_components : components per source, one number or one per source
    init : demixing matrices (n_freq, n_channels, n_channels), or None for D = I; W and H are then drawn as `initialise`
        draws them for D x. An MNMFInit, such as a result of `mnmf_em`, gives the inverse of its A, its W and its H
    callback : called as callback(iteration, model) after every iteration, with the ILRMA so far

    The result has Σ_f w_fk = 1. A complex64 X gives complex64 and float32 results.
    Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 8)) + 1j * rng.standard_normal((2, 5, 8))
    >>> model = ilrma(X, 2, n_iter=10)
    >>> model.demixing.shape, bool(np.all(np.diff(model.cost) < 0)), bool(np.allclose(model.images(X).sum(axis=0), X))
    ((5, 2, 2), True, True)
    """
    X, n_iter = as_mixture(X), as_count(n_iter, "n_iter", least=0)
    if len(X) < 2:
        raise ValueError("X has 1 channel; ILRMA needs at least 2, and finds as many sources as there are channels")
    D, start = _start(X, n_components, init, np.random.default_rng(rng))
    x, exponent = unit_scale(X)
    log_unit = x.size * (math.log(math.pi) + 2 * exponent * math.log(2))
    real = X.real.dtype

    def model(parameters: tuple[Array, Array, Array], cost: Array) -> ILRMA:
        D, W, H = parameters
        W, H = normalise_WH(np.ones(len(X)), W, H, start.groups)
        H = np.ldexp(H, 2 * exponent).astype(real)
        return ILRMA(
            demixing=D.astype(X.dtype), W=W.astype(real), H=H, source_of_component=start.source_of_component,
            cost=cost + log_unit,
        )  # fmt: skip

    iterates = _iterates(x, D, start.W, np.ldexp(start.H, 2 * (start.exponent - exponent)), start.groups)
    return run(iterates, n_iter, model, callback)


def _iterates(
    x: Array, D: Array, W: Array, H: Array, groups: Groups
) -> Iterator[tuple[tuple[Array, Array, Array], float]]:
    """(D, W, H) and the cost without its constant, at the start and after every iteration.

    x : (F, I, N), D : (F, J, I), W : (F, K), H : (K, N). Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880.
    """
    outer, delta = pack_outer(x), np.maximum(DELTA * power_of(x).mean(axis=(1, 2)), SILENCE_FLOOR)
    power = _output_power(D, x, delta)
    floor = R_FLOOR * float(power.mean())
    R = source_powers(W, H, groups) + floor
    while True:
        log_det = float(np.linalg.slogdet(D)[1].sum())
        yield (D, W, H), float((power / R).sum()) + sum_log(R) - 2 * R.shape[2] * log_det
        W = _update_W(power, R, W, H, groups)
        R = source_powers(W, H, groups) + floor
        H = _update_H(power, R, W, H, groups)
        R = source_powers(W, H, groups) + floor
        for j in range(len(D[0])):
            D = _update_row(D, j, outer, R[j], delta)
        power = _output_power(D, x, delta)


def _output_power(D: Array, x: Array, delta: Array) -> Array:
    """|y_j|² + δ_f ‖d_j‖², (J, F, N). D : (F, J, I), x : (F, I, N), delta : (F,)"""
    power = power_of(np.matmul(D, x).transpose(1, 0, 2))
    power += (delta[:, np.newaxis] * power_of(D).sum(axis=2)).T[..., np.newaxis]
    return power


def _update_W(power: Array, R: Array, W: Array, H: Array, groups: Groups) -> Array:
    """W_j ← W_j · ( [|y_j|² r_j⁻²] H_jᵀ / [r_j⁻¹] H_jᵀ )^½. power, R : (J, F, N), W : (F, K), H : (K, N)

    Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880.
    """
    W = W.copy()
    for p, r, K_j in zip(power, R, groups, strict=True):
        W[:, K_j] *= np.sqrt(safe_ratio((p / r**2) @ H[K_j].T, (1 / r) @ H[K_j].T))
    return W


def _update_H(power: Array, R: Array, W: Array, H: Array, groups: Groups) -> Array:
    """H_j ← H_j · ( W_jᵀ [|y_j|² r_j⁻²] / W_jᵀ [r_j⁻¹] )^½. power, R : (J, F, N), W : (F, K), H : (K, N)

    Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880.
    """
    H = H.copy()
    for p, r, K_j in zip(power, R, groups, strict=True):
        H[K_j] *= np.sqrt(safe_ratio(W[:, K_j].T @ (p / r**2), W[:, K_j].T @ (1 / r)))
    return H


def _update_row(D: Array, j: int, outer: Array, r: Array, delta: Array) -> Array:
    """Iterative projection of row j:  U = mean_n x xᴴ / r_j,  d ← (D U)⁻¹ e_j,  d ← d / (dᴴ U d)^½,  row j ← dᴴ.

    D : (F, J, I), outer : (F, I², N) x xᴴ packed, r : (F, N), delta : (F,). The direction of d depends neither on the
    scale of U nor on that of the rows of D; both are normalised, so that rounding errors do not depend on it either.
    Kitamura et al. 2016, doi:10.1109/TASLP.2016.2577880.
    """
    n_freq, n_channels, _ = D.shape
    weight = 1 / r
    U = unpack(np.matmul(outer, weight[..., np.newaxis])[..., 0] / r.shape[1], n_channels)
    U += (delta * weight.mean(axis=1))[:, np.newaxis, np.newaxis] * np.eye(n_channels)
    scale = np.trace(U, axis1=1, axis2=2).real[:, np.newaxis, np.newaxis]
    rows = D / np.linalg.norm(D, axis=2, keepdims=True)
    e_j = np.zeros((n_freq, n_channels, 1))
    e_j[:, j] = 1
    d = np.linalg.solve(np.matmul(rows, U / scale), e_j)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    d /= np.sqrt(np.matmul(d.conj().transpose(0, 2, 1), np.matmul(U, d)).real)
    D = D.copy()
    D[:, j] = d[:, :, 0].conj()
    return D


def _start(
    X: Array, n_components: int | Sequence[int], init: MNMFInit | ArrayLike | None, rng: np.random.Generator
) -> tuple[Array, Start]:
    """The initial D (F, J, I), and the initial values of which ilrma takes W and H."""
    n_channels, n_freq, _ = X.shape
    shape = (n_freq, n_channels, n_channels)
    if isinstance(init, MNMFInit):
        start = check_start(X, n_channels, n_components, "convolutive", init, rng)
        _check_demixing(start.A, "init.A")
        D = np.linalg.inv(start.A)
        _check_demixing(D, "the inverse of init.A")
        return D, start
    D = np.broadcast_to(np.eye(n_channels, dtype=complex), shape)
    if init is not None:
        D = as_stft(init, "init").astype(complex)
        if D.shape != shape:
            raise ValueError(f"init has shape {D.shape}; demixing matrices are {shape}")
        _check_demixing(D, "init")
    Y = np.matmul(D, X.transpose(1, 0, 2)).transpose(1, 0, 2)
    return D, check_start(Y, n_channels, n_components, "convolutive", None, rng)


def _check_demixing(D: Array, name: str) -> None:
    """Raise a ValueError unless all D (F, I, I) have an inverse, and the powers of their outputs can be represented."""
    norms = np.abs(D).max(axis=2)
    if norms.max() > MOST or 0 < norms.min() < 1 / MOST:
        raise ValueError(
            f"{name} has rows from {norms.min():.1e} to {norms.max():.1e}; the powers of its outputs need rows "
            f"from {1 / MOST:.0e} to {MOST:.0e}"
        )
    if np.any(np.linalg.slogdet(D)[1] < -600):
        raise ValueError(f"{name} is singular in some bins; ILRMA needs matrices that have an inverse")
