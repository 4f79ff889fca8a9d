"""The loop that all iterative algorithms share: it counts, records the cost, calls back and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nmflib._threads import one_blas_thread

Parameters = TypeVar("Parameters")
Model = TypeVar("Model")


def run(
    iterates: Iterable[tuple[Parameters, float]],
    n_iter: int,
    model: Callable[[Parameters, NDArray[np.float64]], Model],
    callback: Callable[[int, Model], object] | None = None,
    tol: float = 0.0,
) -> Model:
    """Return the model after n_iter iterations of an algorithm, which is a stream of iterates.

    iterates : parameters and cost of the start, and then after every iteration, without end
    model : makes the result from the parameters and all costs so far
    callback : called as callback(iteration, model) after each iteration
    tol : the loop stops when an iteration lowers the cost by less than tol times the initial cost
    """
    costs: list[float] = []
    with one_blas_thread():
        for t, (parameters, cost) in enumerate(islice(iterates, n_iter + 1)):
            costs.append(cost)
            if t and callback is not None:
                callback(t, model(parameters, np.array(costs)))
            if t and tol > 0 and costs[-2] - cost < tol * costs[0]:
                break
    return model(parameters, np.array(costs))
