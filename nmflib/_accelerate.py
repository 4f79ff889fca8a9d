"""Acceleration of NMF: extrapolation along the path of the iterates, and for β = 2 better iterations (HALS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nmflib._check import Array
from nmflib._objective import Iterate, Objective

Step = Callable[[Iterate], Iterate]  # one iteration

SWEEPS = 2  # so often HALS goes through a factor: the second time costs little beside the product with V


def hals(objective: Objective) -> Step:
    """One iteration of accelerated HALS, for β = 2: it sets each column of W, then each row of H, to its optimum.

    All other columns and rows are fixed meanwhile. The product with V is formed once per factor.
    Cichocki & Phan 2009, doi:10.1587/transfun.E92.A.708; Gillis & Glineur 2012, doi:10.1162/NECO_a_00256.
    """

    def step(x: Iterate) -> Iterate:
        W, H = x.W, x.H
        if objective.n_fixed < W.shape[1]:  # then `negative` is V Hᵀ
            W = _optimal_rows(W.T, x.negative.T, H @ H.T, objective.n_fixed).T.copy()
        return objective.evaluate(W, _optimal_rows(H, W.T @ objective.V, W.T @ W))

    return step


def _optimal_rows(X: Array, B: Array, G: Array, n_fixed: int = 0) -> Array:
    """x_k ← max(0, (b_k − Σ_{l≠k} g_kl x_l) / g_kk), row by row, for all rows but the first n_fixed.

    X, B : (r, n), G : (r, r). With X = H, B = WᵀV and G = WᵀW this is the best h_k >= 0 for D(V | WH); with X = Wᵀ,
    B = HVᵀ and G = HHᵀ it is the best w_k. A row with g_kk = 0 does not change the cost and stays as it is.
    """
    X = X.copy(order="C")
    rows = np.flatnonzero(G.diagonal() > np.finfo(G.dtype).tiny)
    rows = rows[rows >= n_fixed]
    scale = 1 / G[rows, rows, np.newaxis]
    B, others = B[rows] * scale, G[rows] * scale
    others[np.arange(len(rows)), rows] = 0
    for _ in range(SWEEPS):
        for k, b, g in zip(rows, B, others, strict=True):
            np.maximum(b - g @ X, 0, out=X[k])
    return X


def squarem(objective: Objective, x: Iterate, mm: Step, fast: Step) -> Iterator[Iterate]:
    """SQUAREM: two iterations, then one from the point to which they extrapolate, unless that raises the cost.

    mm : an iteration that never raises the cost; fast : replaces it until it raises the cost once
    Varadhan & Roland 2008, scheme S3, doi:10.1111/j.1467-9469.2007.00585.x.
    """

    def step(x: Iterate) -> Iterate:
        nonlocal fast
        new = fast(x)
        if new.cost > x.cost and fast is not mm:
            fast, new = mm, mm(x)
        return new

    max_step = 4.0
    yield x
    while True:
        x0 = x
        yield (x1 := step(x0))
        yield (x2 := step(x1))
        alpha = min(_step_length(x0, x1, x2), max_step)
        x = fast(objective.evaluate(*_extrapolate(x0, x1, x2, alpha)))
        if x.cost > x2.cost:  # too far: an ordinary iteration, and shorter steps from now on
            x, max_step = step(x2), max(max_step / 2, 1.0)
        elif alpha == max_step:
            max_step *= 4
        yield x


def _step_length(x0: Iterate, x1: Iterate, x2: Iterate) -> float:
    """‖r‖ / ‖v‖ over W and H together, with r = x₁ − x₀ and v = x₂ − 2x₁ + x₀; at least 1."""
    rr = vv = 0.0
    for a, b, c in zip(x0[:2], x1[:2], x2[:2], strict=True):
        r, v = b - a, (c - b) - (b - a)
        rr, vv = rr + float(np.vdot(r, r)), vv + float(np.vdot(v, v))
    return max(np.sqrt(rr / vv), 1.0) if vv > 0 else 1.0


def _extrapolate(x0: Iterate, x1: Iterate, x2: Iterate, alpha: float) -> list[Array]:
    """x₀ + 2αr + α²v for W and for H, but at least half of x₂, so that both stay positive; α = 1 gives x₂."""
    return [
        np.maximum(a + 2 * alpha * (b - a) + alpha**2 * (c - 2 * b + a), 0.5 * c)
        for a, b, c in zip(x0[:2], x1[:2], x2[:2], strict=True)
    ]
