"""Fewer iterations to the same cost: extrapolation along the path of the multiplicative updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nmflib._check import Array
from nmflib._objective import Iterate, Objective

Step = Callable[[Iterate], Iterate]  # one iteration


def squarem(objective: Objective, x: Iterate, mm: Step, fast: Step) -> Iterator[Iterate]:
    """SQUAREM: two iterations, then one from the point to which they extrapolate, unless that raises the cost.

    mm : an iteration that never raises the cost; fast : takes its place until it raises the cost once
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
    """x₀ + 2αr + α²v for W and for H, which is x₂ when α = 1; at least half of x₂, so that both stay positive."""
    return [
        np.maximum(a + 2 * alpha * (b - a) + alpha**2 * (c - 2 * b + a), 0.5 * c)
        for a, b, c in zip(x0[:2], x1[:2], x2[:2], strict=True)
    ]
