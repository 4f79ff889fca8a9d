"""The β-divergence.

    d_β(x | y) = [x^β + (β − 1) y^β − β x y^(β−1)] / [β (β − 1)]      β ≠ 0, 1
    d_1(x | y) = x log(x / y) − x + y                                 Kullback–Leibler (KL)
    d_0(x | y) = x / y − log(x / y) − 1                               Itakura–Saito (IS)

and d_2 is half the squared Euclidean distance. Févotte & Idier 2011, doi:10.1162/NECO_a_00168.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array, as_beta, as_nonnegative
from nmflib._unit import rescale, scale_exponent


def beta_divergence(V: ArrayLike, V_hat: ArrayLike, beta: float) -> float:
    """The β-divergence D(V | V_hat), summed over all entries.

    V, V_hat : arrays >= 0 of the same shape, for instance (n_freq, n_frames)
    beta : any real number; 0 is Itakura–Saito, 1 Kullback–Leibler, 2 half the squared Euclidean distance

    Zeros cost what the limits say: d(0 | 0) = 0; a zero in V alone costs infinity for beta <= 0, a zero in V_hat
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
    differ = x != y  # equal entries cost nothing, 0 | 0 included
    x, y = x[differ].astype(float), y[differ].astype(float)
    exponent = scale_exponent(np.append(x, y))
    D = np.sum(divergence_terms(np.ldexp(x, -exponent), np.ldexp(y, -exponent), beta))
    return float(rescale(D, exponent, beta))


def divergence_terms(x: Array, y: Array, beta: float) -> Array:
    """d_β(x | y) entry by entry, with all digits even where x and y are close.

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
            log_u = np.where(np.abs(delta) < 0.5, np.log1p(delta), np.log(x) - np.log(y))
            if beta < 0.5:  # (u^β − 1) / β does not cancel where β is near 0, nor u (u^(β−1) − 1) / (β − 1) near 1
                near = y * y_power * (np.expm1(beta * log_u) / beta - delta) / (beta - 1)
            else:
                near = y * y_power * (x / y * np.expm1((beta - 1) * log_u) / (beta - 1) - delta) / beta
            far = np.where(np.isfinite(near), near, far)
        far[np.isnan(far)] = np.inf  # inf − inf: y is zero, or so small that its powers overflow
        return np.maximum(np.where(np.abs(delta) < 0.5, near, far), 0)
