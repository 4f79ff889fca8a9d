"""Single-channel NMF with the β-divergence: V ≈ WH, all three non-negative.

The multiplicative updates are those of Févotte & Idier 2011, doi:10.1162/NECO_a_00168. "mm" majorises and minimises, so
that D(V | WH) never increases; "heuristic" is the same rule without its exponent; "gradient" is the plain descent that
both replace, and it does not keep W and H non-negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._accelerate import Step, hals, squarem
from nmflib._check import Array, as_beta, as_count, as_factor, as_finite_number, as_nonnegative, check_choice
from nmflib._loop import run
from nmflib._objective import Iterate, Objective
from nmflib._threads import one_blas_thread
from nmflib._unit import rescale, scale_exponent
from nmflib.separate import wiener

UPDATES = ("mm", "heuristic", "gradient")
V_FLOOR = 1e-15  # of the mean of V: the least entry of V when β <= 0, where a zero would cost infinity (−150 dB)
WARM_UP = 10  # "mm" iterations before `accelerate` begins: the first ones decide which minimum is reached


@dataclass(frozen=True)
class NMF:
    """V ≈ W @ H.

    W : (n_freq, n_components) spectra; H : (n_components, n_frames) activations
    cost : (n_iter + 1,) D(V | WH), summed over all entries, at the initial values and after every iteration
    beta : the β of that divergence
    """

    W: NDArray[Any]
    H: NDArray[Any]
    cost: NDArray[np.float64]
    beta: float

    def components(self) -> Array:
        """The products w_k h_k, (n_components, n_freq, n_frames); their sum is WH."""
        return self.W.T[:, :, np.newaxis] * self.H[:, np.newaxis, :]

    def images(self, X: ArrayLike) -> Array:
        """The part of each component in X by Wiener masks, (n_components, *X.shape); the parts sum to X.

        X : (n_freq, n_frames) or (n_channels, n_freq, n_frames), the STFT whose magnitude or power is V
        """
        return wiener(np.asarray(X), self.components())


def nmf(
    V: Array,
    n_components: int,
    *,
    beta: float = 1.0,
    n_iter: int = 200,
    update: str = "mm",
    init: tuple[ArrayLike | None, ArrayLike | None] | None = None,
    dictionary: ArrayLike | None = None,
    accelerate: bool = False,
    tol: float = 0.0,
    rng: int | np.random.Generator = 0,
    callback: Callable[[int, NMF], object] | None = None,
) -> NMF:
    """Factorise V ≈ WH by minimising the β-divergence D(V | WH); an iteration updates W, then H with the new W.

    V : (n_freq, n_frames) real, >= 0, in any unit (power for the Gaussian model, beta=0; often magnitude, beta=1)
    n_components : the rank r
    beta : 0 Itakura–Saito, 1 Kullback–Leibler, 2 Euclidean, or any other real number
    update : "mm" never increases the cost; "heuristic" drops the exponent γ(β), which is 1 for 1 <= beta <= 2;
        "gradient" is steepest descent: the step is halved until the cost does not increase, and W and H may go negative
    init : (W0, H0), shapes (n_freq, n_components) and (n_components, n_frames); for None, `rng` draws the values
    dictionary : (n_freq, d), d <= n_components, learnt spectra: the first d columns of W, which stay as they are
    accelerate : every third iteration starts from a point extrapolated from the last three, unless that raises the
        cost. For beta=2, an iteration sets each column of W and each row of H to its optimum given all others (HALS);
        in 2 of 30 runs on ten clips, r=10, 200 of these ended in another minimum than 1000 of "mm", up to 3 % higher.
        For other betas, ten "mm" iterations come first; then the exponent is dropped as long as the cost falls
    tol : the loop stops when an iteration lowers the cost by less than tol times the initial cost
    callback : called as callback(iteration, model) after each iteration, with the NMF so far

    A float32 V gives a float32 result, about twice as fast for beta=0, 0.5, 1, 1.5, 2, 2.5 and 3; any other beta is
    computed in float64. For beta <= 0, V is lifted to at least 1e-15 times its mean.

    >>> V = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 3.0]])
    >>> model = nmf(V, 2, beta=1, n_iter=50, rng=0)
    >>> np.abs(np.round(model.W @ model.H, 6))
    array([[1., 2., 0.],
           [2., 4., 0.],
           [0., 0., 3.]])
    >>> len(model.cost)
    51
    """
    V, beta = as_nonnegative(V, "V", ndim=2), as_beta(beta)
    n_components, n_iter = as_count(n_components, "n_components", least=1), as_count(n_iter, "n_iter", least=0)
    tol = as_finite_number(tol, "tol")
    check_choice(update, "update", UPDATES)
    if accelerate and update != "mm":
        raise ValueError(f"accelerate needs update='mm', update is {update!r}")
    W, H, n_fixed = _initial_values(V, n_components, init, dictionary, np.random.default_rng(rng))
    if not V.any():  # for silence H = 0 is exact, whatever W is
        return NMF(W, np.zeros_like(H), np.zeros(n_iter + 1), beta)

    # V is rescaled to a mean near 1, and the scale is absorbed into H.
    dtype = V.dtype
    if dtype == np.float32 and beta not in (0, 0.5, 1, 1.5, 2, 2.5, 3):  # float32 cannot represent its powers
        V, W, H = V.astype(float), W.astype(float), H.astype(float)
    exponent = scale_exponent(V)
    V, H = np.ldexp(V, -exponent), np.ldexp(H, -exponent)

    def model(x: Iterate, cost: Array) -> NMF:
        if not (np.isfinite(cost).all() and np.isfinite(x.W).all() and np.isfinite(x.H).all()):
            raise ValueError(f"beta is {beta}: its powers of V overflow; V spans too many orders of magnitude for it")
        return NMF(x.W.astype(dtype), np.ldexp(x.H, exponent).astype(dtype), rescale(cost, exponent, beta), beta)

    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        objective = _objective(V, beta, update, n_components, n_fixed)
        iterates = _iterates(objective, objective.evaluate(W, H), update, accelerate)
        return run(((x, x.cost) for x in iterates), n_iter, model, callback, tol)


def _objective(V: Array, beta: float, update: str, n_components: int, n_fixed: int) -> Objective:
    """The cost D(V | WH), with floors relative to the mean of V: for V when β <= 0, and for WH."""
    mean = float(V.mean(dtype=float))
    if beta <= 0:
        V = np.maximum(V, V.dtype.type(V_FLOOR * mean))
    floor = 1e-15 if V.dtype == np.float32 else 1e-100 if beta > 0 else 1e-18  # V · floor^(β−2) can be represented
    return Objective(V, beta, (1e-6 if update == "gradient" else floor) * mean, n_components, n_fixed)


def _iterates(objective: Objective, x: Iterate, update: str, accelerate: bool) -> Iterator[Iterate]:
    """The start, and every iterate after it, without end."""
    if update == "gradient":
        yield from _gradient_descent(objective, x)
    if accelerate and objective.beta == 2:
        yield from squarem(objective, x, step := hals(objective), step)
    gamma = exponent_gamma(objective.beta, update)
    mm = _multiplicative(objective, gamma)
    for _ in range(WARM_UP) if accelerate else count():
        yield x
        x = mm(x)
    yield from squarem(objective, x, mm, mm if gamma == 1 else _multiplicative(objective, 1.0))


def _multiplicative(objective: Objective, gamma: float) -> Step:
    """One iteration of the multiplicative rules with exponent γ, the fixed columns of W left out:

        W ← W · ( [V̂^(β−2) · V] Hᵀ / [V̂^(β−1)] Hᵀ )^γ,   then   H ← H · ( Wᵀ [V̂^(β−2) · V] / Wᵀ [V̂^(β−1)] )^γ

    V, V̂ = WH : (n_freq, n_frames). Févotte & Idier 2011, doi:10.1162/NECO_a_00168.
    """  # fmt: skip
    free = slice(objective.n_fixed, None)

    def step(x: Iterate) -> Iterate:
        W, negative, positive = x.W, x.negative, x.positive
        if objective.n_fixed < W.shape[1]:
            W = W.copy()
            W[:, free] *= _ratio(negative[:, free], positive[:, free], gamma)
            negative, positive, _ = objective.gradient_H(W, x.H)
        return objective.evaluate(W, x.H * _ratio(negative, positive, gamma))

    return step


def exponent_gamma(beta: float, update: str = "mm") -> float:
    """The exponent γ(β) that makes the multiplicative rule a majorise–minimise step; 1 for "heuristic".

    Févotte & Idier 2011, doi:10.1162/NECO_a_00168.

    >>> [exponent_gamma(beta) for beta in (0, 1, 2, 3)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if update == "heuristic" or 1 <= beta <= 2:
        return 1.0
    return 1 / (2 - beta) if beta < 1 else 1 / (beta - 1)


def _ratio(numerator: Array, denominator: Array, gamma: float) -> Array:
    """(numerator / denominator)^γ; 0 where the denominator vanishes, which needs V̂ = 0 and β = 2."""
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    np.minimum(ratio, np.finfo(ratio.dtype).max, out=ratio)  # zero times infinity would not be zero
    if gamma == 1:
        return ratio
    return np.sqrt(ratio, out=ratio) if gamma == 0.5 else np.power(ratio, gamma, out=ratio)


def _gradient_descent(objective: Objective, x: Iterate) -> Iterator[Iterate]:
    """W ← W − μ ∂D/∂W, then H ← H − η ∂D/∂H with the new W. Nothing keeps the entries from going negative.

    μ is at most mean(V)^(2−β) / ‖HHᵀ‖, and η at most mean(V)^(2−β) / ‖WᵀW‖: for β = 2 these are the largest safe steps.
    """
    mu = eta = np.inf
    while True:
        yield x
        W, H = x.W, x.H
        if objective.n_fixed < W.shape[1]:
            gradient = x.positive - x.negative
            gradient[:, : objective.n_fixed] = 0
            W, mu = _descend(W, gradient, 2 * mu, _safe_step(objective, H), partial(objective.cost, H=H))
        negative, positive, _ = objective.gradient_H(W, H)
        safe = _safe_step(objective, W.T)
        H, eta = _descend(H, positive - negative, 2 * eta, safe, partial(objective.cost, W))
        x = objective.evaluate(W, H)


def _safe_step(objective: Objective, other: Array) -> float:
    """mean(V)^(2−β) / ‖O Oᵀ‖ of the other factor O."""
    norm = max(float(np.linalg.norm(other @ other.T, 2)), float(np.finfo(other.dtype).tiny))
    return float(objective.mean ** (2 - objective.beta)) / norm


def _descend(
    x: Array, gradient: Array, step: float, safe: float, cost: Callable[[Array], float]
) -> tuple[Array, float]:
    """x − step · gradient, and the step, which is halved until the cost does not rise; after 60 halvings x stays."""
    before, last, step = cost(x), step / 2, min(step, safe)
    for _ in range(60):
        trial = x - x.dtype.type(step) * gradient
        if cost(trial) <= before:
            return trial, step
        step /= 2
    return x, last


def _initial_values(
    V: Array,
    n_components: int,
    init: tuple[ArrayLike | None, ArrayLike | None] | None,
    dictionary: ArrayLike | None,
    rng: np.random.Generator,
) -> tuple[Array, Array, int]:
    """W (n_freq, n_components) and H (n_components, n_frames), given or uniform in (0, 1], and d of `dictionary`.

    A drawn H is scaled so that WH has the mean of V.
    """
    n_freq, n_frames = V.shape
    if init is not None and not (isinstance(init, tuple | list) and len(init) == 2):
        raise ValueError(f"init is a {type(init).__name__}; it must be a pair (W0, H0), either of which may be None")
    W0, H0 = (None, None) if init is None else init
    W = 1 - rng.random((n_freq, n_components)) if W0 is None else as_factor(W0, "init W0", (n_freq, n_components))
    H = 1 - rng.random((n_components, n_frames)) if H0 is None else as_factor(H0, "init H0", (n_components, n_frames))
    W, n_fixed = W.astype(V.dtype), 0
    if dictionary is not None:
        atoms = as_nonnegative(dictionary, "dictionary", ndim=2)
        n_fixed = atoms.shape[1]
        if atoms.shape[0] != n_freq or n_fixed > n_components:
            raise ValueError(
                f"dictionary has shape {atoms.shape}; it must be (n_freq, d) = ({n_freq}, d) "
                f"with d <= n_components = {n_components}"
            )
        empty = np.flatnonzero(~atoms.any(axis=0)).tolist()
        if empty:
            raise ValueError(f"dictionary has only zeros in its columns {empty}; a spectrum needs an entry > 0")
        W[:, :n_fixed] = atoms
    if H0 is None:
        peak = max(float(V.max()), float(np.finfo(V.dtype).tiny))
        total = float(W.astype(float).sum(axis=0) @ H.sum(axis=1))
        H = H * (float((V / peak).sum(dtype=float)) / max(total, float(np.finfo(float).tiny))) * peak
        if H.max() > np.finfo(V.dtype).max:
            raise ValueError(f"init W0 is at most {W.max():.1e}; the H that makes WH as large as V overflows {V.dtype}")
    return W, H.astype(V.dtype), n_fixed
