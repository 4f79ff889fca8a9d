"""D(V | WH) and its gradient, computed block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nmflib._check import Array
from nmflib.divergence import divergence_terms


def power(x: Array, exponent: float, out: Array) -> Array:
    """x ** exponent, faster than `pow`: by products and square roots, or as exp(exponent · log x).

    The first way serves multiples of 1/2 up to 3. The error of the second is |exponent · log x| times the rounding.

    x : (...) non-negative; out : (...) receives the result and is not x itself

    >>> power(np.array([4.0, 9.0]), -1.5, out=np.empty(2))
    array([0.125     , 0.03703704])
    """
    size = abs(exponent)
    if size not in (0, 0.5, 1, 1.5, 2, 2.5, 3):
        np.log(x, out=out)
        out *= exponent
        return np.exp(out, out=out)
    out[...] = np.sqrt(x) if size % 1 else 1
    for _ in range(int(size)):
        out *= x
    return np.divide(1, out, out=out) if exponent < 0 else out


BLOCK = (128, 640)  # the most bins and frames of a block; its temporaries then stay in the processor's cache
SMALL_PRODUCT = 10**6  # up to so many multiplications, OpenBLAS does not copy the operands of a product first


class Iterate(NamedTuple):
    """A pair of factors, the two parts of the gradient there, and the cost D(V | WH).

    W : (n_freq, r), H : (r, n_frames); negative, positive : parts of the gradient in W; in H when all of W is fixed
    """

    W: Array
    H: Array
    negative: Array
    positive: Array
    cost: float


class Objective:
    """D(V | V̂) for V̂ = WH, and the two parts of its gradient.

    ∂D(V | V̂) / ∂V̂ = positive − negative, with positive = V̂^(β−1) and negative = V · V̂^(β−2); `gradient_W` multiplies
    both by Hᵀ, `gradient_H` by Wᵀ. V̂ is formed block by block; β = 2 does without it.

    V : (n_freq, n_frames) of mean near 1, W : (n_freq, n_components), H : (n_components, n_frames)
    floor : the least V̂ that is divided by; n_fixed : so many first columns of W stay as they are
    """

    def __init__(self, V: Array, beta: float, floor: float, n_components: int, n_fixed: int = 0) -> None:
        self.V, self.beta, self.floor, self.n_fixed = V, beta, floor, n_fixed
        self.mean = float(V.mean(dtype=float))
        buffers = np.empty((4, 0 if beta == 2 else BLOCK[0] * BLOCK[1]), V.dtype)
        bins, frames = BLOCK if beta != 2 else _block_of_products(V.shape, n_components)
        self._blocks = [
            _Block(V, rows, columns, beta, floor, buffers)
            for rows in _even_slices(V.shape[0], bins)
            for columns in _even_slices(V.shape[1], frames)
        ]
        constants = [block.constant() for block in self._blocks]
        self._constant = sum(total for total, _ in constants)
        rounding = float(np.finfo(V.dtype).eps) * sum(size for _, size in constants)
        self._cancels = rounding * (3e10 if V.dtype == np.float64 else 1e2)

    def evaluate(self, W: Array, H: Array) -> Iterate:
        """The factors with the cost and the parts of the gradient from which the next iteration starts."""
        gradient = self.gradient_H if self.n_fixed == W.shape[1] else self.gradient_W
        return Iterate(W, H, *gradient(W, H, cost=True))

    def gradient_W(self, W: Array, H: Array, cost: bool = False) -> tuple[Array, Array, float]:
        """[V̂^(β−2) · V] Hᵀ and [V̂^(β−1)] Hᵀ, (n_freq, r), and D(V | V̂), which is NaN unless `cost`.

        Fixed columns stay zero, unless β = 2. For β = 1 the second part is the same for all bins, (1, r).
        """
        H_T = np.ascontiguousarray(H.T)
        negative, positive, D = np.zeros_like(W), np.zeros_like(W), 0.0
        free = slice(0 if self.beta == 2 else self.n_fixed, None)  # for β = 2 the cost needs all columns
        for block in self._approximated(W, H):
            negative[block.rows, free] += block.negative @ H_T[block.columns, free]
            if self.beta not in (1, 2):
                positive[block.rows, free] += block.positive @ H_T[block.columns, free]
            if cost and self.beta != 2:
                D += block.cost()
        if self.beta == 1:
            positive = H_T.sum(axis=0)[np.newaxis]
        elif self.beta == 2:
            positive = W @ (H @ H_T)
            D = float(np.vdot(W, 0.5 * positive - negative))
        return negative, positive, self._total(D, W, H) if cost else np.nan

    def gradient_H(self, W: Array, H: Array, cost: bool = False) -> tuple[Array, Array, float]:
        """Wᵀ [V̂^(β−2) · V] and Wᵀ [V̂^(β−1)], (r, n_frames), and D(V | V̂), which is NaN unless `cost`.

        For β = 1 the second part is the same for all frames, (r, 1).
        """
        if self.beta == 2:
            negative, positive = W.T @ self.V, (W.T @ W) @ H
            D = float(np.vdot(H, 0.5 * positive - negative))
            return negative, positive, self._total(D, W, H) if cost else np.nan
        negative, positive, D = np.zeros_like(H), np.zeros_like(H), 0.0
        for block in self._approximated(W, H):
            W_T = W[block.rows].T
            negative[:, block.columns] += W_T @ block.negative
            if self.beta != 1:
                positive[:, block.columns] += W_T @ block.positive
            if cost:
                D += block.cost()
        if self.beta == 1:
            positive = W.sum(axis=0)[:, np.newaxis]
        return negative, positive, self._total(D, W, H) if cost else np.nan

    def cost(self, W: Array, H: Array) -> float:
        """D(V | V̂). W : (n_freq, r), H : (r, n_frames)"""
        if self.beta == 2:
            return self.gradient_H(W, H, cost=True)[2]
        return self._total(sum(block.cost() for block in self._approximated(W, H)), W, H)

    def _approximated(self, W: Array, H: Array) -> Iterator[_Block]:
        """The blocks one by one, each with V̂ = WH and the parts of the gradient in its buffers."""
        # where W >= 0, V̂_fn >= Σ_k w_fk min_n h_kn: the factors alone may show that V̂ is above the floor
        above = self.beta != 2 and W.min() >= 0 and bool((W @ H.min(axis=1)).min() >= self.floor)
        for block in self._blocks:
            block.approximate(W, H, above)
            yield block

    def _total(self, D: float, W: Array, H: Array) -> float:
        """The total cost: the blocks plus constant terms; recomputed entry by entry where these would cancel."""
        D += self._constant
        if self.beta == 1:  # Σ V̂
            D += float(W.sum(axis=0, dtype=float) @ H.sum(axis=1, dtype=float))
        if D >= self._cancels or np.isnan(D):
            return D
        return sum(block.close_cost(W, H) for block in self._blocks)


class _Block:
    """Some bins and frames of V, with V̂ and the two parts of the gradient in buffers that all blocks share.

    V, V_hat, negative, positive : (bins, frames). For β = 1 `positive` is 1 everywhere and is never formed; for β = 2
    `negative` is V, and V̂ is not formed either.
    """

    def __init__(self, V: Array, rows: slice, columns: slice, beta: float, floor: float, buffers: Array) -> None:
        self.rows, self.columns, self.beta, self.floor = rows, columns, beta, floor
        self.V = self.negative = V[rows, columns]
        if beta != 2:
            self.V = np.ascontiguousarray(self.V)
            self.V_hat, self.negative, self.positive, self._work = (
                buffer[: self.V.size].reshape(self.V.shape) for buffer in buffers
            )

    def approximate(self, W: Array, H: Array, above: bool) -> None:
        """Form V̂ = WH, at least the floor, and the parts of the gradient; above : no entry of WH is below the floor."""
        if self.beta == 2:
            return
        V, V_hat, negative, positive = self.V, self.V_hat, self.negative, self.positive
        np.matmul(W[self.rows], H[:, self.columns], out=V_hat)
        if not (above or V_hat.min() >= self.floor):  # min() is cheaper than an unconditional maximum
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
        """The sum of the terms of D without V̂, and the sum of their absolute values and of V."""
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
        """The sum of the terms of D with V̂, β ≠ 2, after `approximate`; for β = 1 without Σ V̂."""
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
        return float(np.sum(divergence_terms(self.V[differ].astype(float), V_hat[differ].astype(float), self.beta)))


def _dot(x: Array, y: Array) -> float:
    """Σ x y, (bins, frames), accumulated in float64 over the bins."""
    if x.dtype == np.float64:
        return float(np.dot(x.ravel(), y.ravel()))
    return float(np.vecdot(x, y).sum(dtype=float))


def _block_of_products(shape: tuple[int, ...], n_components: int) -> tuple[int, int]:
    """The most bins and frames of a block for β = 2: V Hᵀ is a small product then, or one of all V if r is large."""
    bins = -(-shape[0] // -(-shape[0] // BLOCK[0]))
    frames = SMALL_PRODUCT // (bins * n_components)
    return (bins, min(frames, BLOCK[1])) if frames >= 64 else (shape[0], shape[1])


def _even_slices(n: int, most: int) -> list[slice]:
    """Slices of 0 … n of nearly the same length, at most `most`."""
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
