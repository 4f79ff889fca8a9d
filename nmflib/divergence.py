"""The β-divergence and what the multiplicative updates need of it.

    d_β(x | y) = [x^β + (β − 1) y^β − β x y^(β−1)] / [β (β − 1)]      β ≠ 0, 1
    d_1(x | y) = x log(x / y) − x + y                                 Kullback–Leibler (KL)
    d_0(x | y) = x / y − log(x / y) − 1                               Itakura–Saito (IS)

and d_2 is half the squared Euclidean distance. Févotte & Idier 2011, doi:10.1162/NECO_a_00168.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def beta_divergence(V: ArrayLike, V_hat: ArrayLike, beta: float) -> float:
    """β-divergence D(V | V_hat), summed over all entries (not averaged).

    V, V_hat : non-negative arrays of the same shape, for instance (n_freq, n_frames)
    beta : any real number; 0 is Itakura–Saito, 1 Kullback–Leibler, 2 half the squared Euclidean distance

    The limits at zero are taken: d(0 | 0) = 0; a zero in V alone costs infinity for beta <= 0, a zero in V_hat
    alone for beta <= 1.

    >>> beta_divergence([[1.0, 2.0]], [[1.0, 4.0]], beta=2)
    2.0
    >>> beta_divergence([[1.0, 2.0]], [[1.0, 2.0]], beta=0)
    0.0
    """
    x, y = as_nonnegative(V, "V"), as_nonnegative(V_hat, "V_hat")
    if x.shape != y.shape:
        raise ValueError(f"V has shape {x.shape} and V_hat {y.shape}; they must be the same")
    beta = as_beta(beta)
    differ = x != y  # equal entries cost nothing, 0 | 0 among them
    x, y = x[differ].astype(float), y[differ].astype(float)
    exponent = scale_exponent(np.append(x, y))
    D = np.sum(_terms(np.ldexp(x, -exponent), np.ldexp(y, -exponent), beta))
    return float(rescale(D, exponent, beta))


def _terms(x: Array, y: Array, beta: float) -> Array:
    """d_β(x | y) entry by entry, with full relative precision also where x and y are close.

    x, y : (...) float64, never both zero. With u = x / y = 1 + δ, d_β(x | y) = y^β d_β(u | 1).
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        delta = (x - y) / y
        if beta == 2:
            return 0.5 * (x - y) ** 2
        if beta == 1:
            far = np.where(x > 0, x * (np.log(np.where(x > 0, x, 1)) - np.log(y)) - x + y, y)
            near = y * ((1 + delta) * np.log1p(delta) - delta)
        elif beta == 0:
            far = x / y - (np.log(x) - np.log(y)) - 1
            near = delta - np.log1p(delta)
        else:
            y_power = np.power(y, beta - 1)
            far = (np.power(x, beta) / beta + y * y_power * (1 - 1 / beta) - x * y_power) / (beta - 1)
            near = y * y_power * (np.expm1(beta * np.log1p(delta)) / beta - delta) / (beta - 1)
        far[np.isnan(far)] = np.inf  # inf − inf: y is so small that its powers overflow
        if beta <= 0:
            far[x == 0] = np.inf
        if beta <= 1:
            far[y == 0] = np.inf
        return np.maximum(np.where(np.abs(delta) < 0.5, near, far), 0)


def rescale(cost: Any, exponent: int, beta: float) -> Any:
    """The divergence of data that had been divided by 2^exponent: a common factor c multiplies it by c^β.

    cost : a number or an array; what is too large to be represented becomes infinite
    """
    half = 2.0 ** min(max(exponent * beta / 2, -1000.0), 1000.0)
    with np.errstate(over="ignore"):
        return np.multiply(cost, half) * half


def power(x: Array, exponent: float, out: Array) -> Array:
    """x ** exponent: multiples of 1/2 up to 3 by products and square roots, others as exp(exponent · log x).

    Both are faster than `pow`, the first many times; the second is right to |exponent · log x| times the rounding.

    x : (...) non-negative; out : (...) buffer that receives the result and is not x itself

    >>> power(np.array([4.0, 9.0]), -1.5, out=np.empty(2))
    array([0.125     , 0.03703704])
    """
    size = abs(float(exponent))
    if not (2 * size).is_integer() or size > 3:
        np.log(x, out=out)
        out *= exponent
        return np.exp(out, out=out)
    products = int(size)
    if not size.is_integer():
        np.sqrt(x, out=out)
    elif products >= 2:
        np.square(x, out=out)
        products -= 2
    else:
        out[...] = x if products else 1
        products = 0
    for _ in range(products):
        out *= x
    return np.divide(1, out, out=out) if exponent < 0 else out


BLOCK = (128, 1024)  # bins × frames looked at together: what is computed from them stays in the processor's cache


class Fit:
    """V beside its approximation V̂ = WH: the two parts of the gradient, and the cost.

    ∂D(V | V̂) / ∂V̂ = positive − negative, with positive = V̂^(β−1) and negative = V · V̂^(β−2); `gradient_W` multiplies
    both by Hᵀ, `gradient_H` by Wᵀ. V̂ is formed block by block and never as a whole; β = 2 does without it.

    V : (n_freq, n_frames), W : (n_freq, r), H : (r, n_frames). V has been scaled to a mean near 1 (see `nmf`); `floor`
    is far below anything that matters there, and keeps V̂ from zero where it is divided by.
    """

    def __init__(self, V: Array, beta: float, floor: float) -> None:
        self.beta, self.floor = beta, floor
        self.mean = float(V.mean(dtype=float))
        size = (BLOCK[0], V.shape[1]) if beta == 2 else BLOCK  # without V̂ only the products matter
        buffers = np.empty((4, 0 if beta == 2 else BLOCK[0] * BLOCK[1]), V.dtype)
        self._blocks = [
            _Block(V, rows, columns, beta, floor, buffers)
            for rows in _even_slices(V.shape[0], size[0])
            for columns in _even_slices(V.shape[1], size[1])
        ]
        constants = [block.constant() for block in self._blocks]
        self._constant = sum(total for total, _ in constants)
        self.rounding = float(np.finfo(V.dtype).eps) * sum(size for _, size in constants)
        self._cancels = self.rounding * (1e9 if V.dtype == np.float64 else 1e2)

    def gradient_W(self, W: Array, H: Array, first: int = 0, cost: bool = False) -> tuple[Array, Array, float]:
        """[V̂^(β−2) · V] Hᵀ and [V̂^(β−1)] Hᵀ, (n_freq, r); D(V | V̂), or NaN when it is not asked for.

        first : the columns before it are not needed. For β = 1 the second part is the same for all bins, (1, r).
        """
        H_T = np.ascontiguousarray(H.T)
        negative, positive, D = np.zeros_like(W), np.zeros_like(W), 0.0
        if self.beta == 2:
            first = 0  # the cost needs them all
        above = self._is_above_floor(W, H)
        for block in self._blocks:
            block.approximate(W, H, above)
            negative[block.rows, first:] += block.negative @ H_T[block.columns, first:]
            if self.beta not in (1, 2):
                positive[block.rows, first:] += block.positive @ H_T[block.columns, first:]
            if cost and self.beta != 2:
                D += block.cost()
        if self.beta == 1:
            positive = H_T.sum(axis=0)[np.newaxis]
        elif self.beta == 2:
            positive = W @ (H @ H_T)
            D = float(np.vdot(W, 0.5 * positive - negative))
        return negative, positive, self._total(D, W, H) if cost else np.nan

    def gradient_H(self, W: Array, H: Array, cost: bool = False) -> tuple[Array, Array, float]:
        """Wᵀ [V̂^(β−2) · V] and Wᵀ [V̂^(β−1)], (r, n_frames); D(V | V̂), or NaN when it is not asked for.

        For β = 1 the second part is the same for all frames, (r, 1).
        """
        negative, positive, D = np.zeros_like(H), np.zeros_like(H), 0.0
        above = self._is_above_floor(W, H)
        for block in self._blocks:
            block.approximate(W, H, above)
            W_T = W[block.rows].T
            negative[:, block.columns] += W_T @ block.negative
            if self.beta not in (1, 2):
                positive[:, block.columns] += W_T @ block.positive
            if cost and self.beta != 2:
                D += block.cost()
        if self.beta == 1:
            positive = W.sum(axis=0)[:, np.newaxis]
        elif self.beta == 2:
            positive = (W.T @ W) @ H
            D = float(np.vdot(H, 0.5 * positive - negative))
        return negative, positive, self._total(D, W, H) if cost else np.nan

    def cost(self, W: Array, H: Array) -> float:
        """D(V | V̂). W : (n_freq, r), H : (r, n_frames)"""
        if self.beta == 2:
            return self.gradient_H(W, H, cost=True)[2]
        D = 0.0
        above = self._is_above_floor(W, H)
        for block in self._blocks:
            block.approximate(W, H, above)
            D += block.cost()
        return self._total(D, W, H)

    def _is_above_floor(self, W: Array, H: Array) -> bool:
        """Whether the factors alone show that V̂ is: where W >= 0, V̂_fn >= Σ_k w_fk min_n h_kn."""
        return self.beta != 2 and W.min() >= 0 and bool((W @ H.min(axis=1)).min() >= self.floor)

    def _total(self, D: float, W: Array, H: Array) -> float:
        """D: what the blocks gave and what they share; entry by entry when the fit is so close that they cancel."""
        D += self._constant
        if self.beta == 1:  # Σ V̂
            D += float(W.sum(axis=0, dtype=float) @ H.sum(axis=1, dtype=float))
        if D >= self._cancels or np.isnan(D):
            return D
        return sum(block.close_cost(W, H) for block in self._blocks)


class _Block:
    """Some bins and frames of V, and the buffers that all blocks share: V̂, the two parts of the gradient, and a spare.

    V, V_hat, negative, positive : (bins, frames). For β = 1 `positive` is 1 everywhere and is never formed; for β = 2
    `negative` is V, and V̂ is not formed either.
    """

    def __init__(self, V: Array, rows: slice, columns: slice, beta: float, floor: float, buffers: Array) -> None:
        self.rows, self.columns, self.beta, self.floor = rows, columns, beta, floor
        self.V = self.negative = np.ascontiguousarray(V[rows, columns])
        if beta != 2:
            self.V_hat, self.negative, self.positive, self._work = (
                buffer[: self.V.size].reshape(self.V.shape) for buffer in buffers
            )

    def approximate(self, W: Array, H: Array, above: bool) -> None:
        """V̂ = WH, kept above the floor, and the two parts of the gradient there.

        W : (n_freq, r), H : (r, n_frames); above : whether all of V̂ is known to be above the floor
        """
        if self.beta == 2:
            return
        V, V_hat, negative, positive = self.V, self.V_hat, self.negative, self.positive
        np.matmul(W[self.rows], H[:, self.columns], out=V_hat)
        if not (above or V_hat.min() >= self.floor):  # to look is faster than the maximum
            np.maximum(V_hat, self.floor, out=V_hat)
        if self.beta == 1:
            np.divide(V, V_hat, out=negative)
        elif self.beta == 0:
            np.divide(1, V_hat, out=positive)
            np.multiply(V, positive, out=negative)
            negative *= positive
        else:
            power(V_hat, self.beta - 2, out=negative)
            np.multiply(negative, V_hat, out=positive)
            negative *= V

    def constant(self) -> tuple[float, float]:
        """The terms of D that V̂ does not enter, summed, and the sum of their absolute values and of V."""
        x = self.V.astype(float, copy=False)
        if self.beta == 2:
            square = 0.5 * _dot(x, x)
            return square, square + float(x.sum())
        if self.beta == 1:
            terms = x * np.log(np.where(x > 0, x, 1)) - x
        elif self.beta == 0:
            terms = -np.log(x) - 1
        else:
            terms = power(x, self.beta, out=np.empty_like(x)) / (self.beta * (self.beta - 1))
        return float(terms.sum()), float(np.abs(terms).sum() + x.sum())

    def cost(self) -> float:
        """The other terms of D(V | V̂), β ≠ 2, from what `approximate` left in the buffers; for β = 1 without Σ V̂."""
        if self.beta == 1:
            return -_dot(self.V, np.log(self.V_hat, out=self._work))
        if self.beta == 0:
            return _dot(self.V, self.positive) + sum_log(self.V_hat)
        return _dot(self.V_hat, self.positive) / self.beta - _dot(self.V, self.positive) / (self.beta - 1)

    def close_cost(self, W: Array, H: Array) -> float:
        """All of D(V | V̂), entry by entry."""
        V_hat = W[self.rows] @ H[:, self.columns]
        if self.beta != 2:
            np.maximum(V_hat, self.floor, out=V_hat)
        differ = self.V != V_hat
        return float(np.sum(_terms(self.V[differ].astype(float), V_hat[differ].astype(float), self.beta)))


def _dot(x: Array, y: Array) -> float:
    """Σ x y, (bins, frames), accumulated in float64 over the bins."""
    if x.dtype == np.float64:
        return float(np.dot(x.ravel(), y.ravel()))
    return float(np.vecdot(x, y).sum(dtype=float))


def _even_slices(n: int, most: int) -> list[slice]:
    """0 … n in slices of nearly the same length, at most `most`."""
    k = -(-n // most)
    return [slice(n * i // k, n * (i + 1) // k) for i in range(k)]


def sum_log(x: Array) -> float:
    """Σ log x, x > 0: one logarithm for the product of eight entries, as long as the product can be represented."""
    x = x.ravel().astype(float, copy=False)
    n_products = x.size // 8
    with np.errstate(over="ignore", under="ignore"):
        products = np.multiply.reduce(x[: 8 * n_products].reshape(8, n_products))
    if n_products == 0 or products.min() < 1e-290 or products.max() > 1e290:
        return float(np.log(x).sum())
    return float(np.log(products).sum() + np.log(x[8 * n_products :]).sum())


def scale_exponent(x: Array) -> int:
    """The integer k for which x / 2^k has its mean in [1/2, 1); 0 when x >= 0 is empty or all zero.

    Dividing by 2^k keeps every digit: computing on x / 2^k instead of x changes nothing but over- and underflow.

    >>> scale_exponent(np.array([1000.0, 1040.0]))
    10
    """
    peak = float(x.max(initial=0))
    if peak == 0:
        return 0
    k = 0 if 1e-200 < peak < 1e200 else math.frexp(peak)[1]  # the sum is not to overflow
    return k + math.frexp(float(np.ldexp(x, -k, dtype=float).mean() if k else x.mean(dtype=float)))[1]


def as_nonnegative(x: ArrayLike, name: str, ndim: int | None = None) -> Array:
    """x as a real, finite, non-negative float array (float32 stays float32), or a ValueError that names it."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        kind = "complex; take np.abs(...) or its square" if array.dtype.kind == "c" else f"of type {array.dtype}"
        raise ValueError(f"{name} is {kind}; NMF needs real numbers >= 0")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}; it must have {ndim} dimensions")
    if array.size == 0:
        raise ValueError(f"{name} is empty, its shape is {array.shape}")
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    not_finite = array.size - int(np.count_nonzero(np.isfinite(array)))
    if not_finite:
        raise ValueError(f"{name} has {not_finite} NaN or infinite entries; NMF needs finite numbers >= 0")
    negative = int(np.count_nonzero(array < 0))
    if negative:
        raise ValueError(f"{name} has {negative} negative entries; NMF needs {name} >= 0")
    return array


def as_beta(beta: float) -> float:
    """beta as a finite float; within 1e-8 of 0 or 1 it is taken as 0 or 1, since the general formula cancels there."""
    beta = as_finite_number(beta, "beta")
    nearest = float(round(beta)) if abs(beta) < 2 else beta
    return nearest if nearest in (0, 1) and abs(beta - nearest) < 1e-8 else beta


def as_finite_number(x: float, name: str) -> float:
    """x as a finite float, or a ValueError that names it."""
    try:
        number = float(x)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {x!r}; it must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} is {number}; it must be finite")
    return number
