"""Single-channel NMF with the β-divergence: V ≈ WH, all three non-negative.

The multiplicative updates are those of Févotte & Idier 2011, doi:10.1162/NECO_a_00168 ("mm" majorises and minimises,
so that D(V | WH) never increases; "heuristic" is the same ratio without the exponent). `accelerate` is the squared
extrapolation of Varadhan & Roland 2008, doi:10.1111/j.1467-9469.2007.00585.x. "gradient" is the plain descent that the
multiplicative rules replace; it does not keep W and H >= 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmflib._threads import one_blas_thread
from nmflib.divergence import Array, Fit, as_beta, as_finite_number, as_nonnegative, rescale, scale_exponent
from nmflib.separate import wiener

UPDATES = ("mm", "heuristic", "gradient")

# For β <= 0 a zero in V would cost infinity: V is lifted to this fraction of its own mean (−150 dB).
V_FLOOR = 1e-15

# The first iterations decide which minimum is reached: `accelerate` leaves them as they are.
WARM_UP = 10

Parts = tuple[Array, Array, float]  # [V̂^(β−2) · V] and [V̂^(β−1)] times the other factor, and D: see `Fit`
Sweep = Callable[[Fit, Array, Array, Parts, int], tuple[Array, Array]]  # one iteration


@dataclass(frozen=True)
class NMF:
    """V ≈ W @ H.

    W : (n_freq, n_components) spectra; H : (n_components, n_frames) activations
    cost : (n_iter + 1,) D(V | WH), summed, at the initial values and after every iteration; beta : its β
    """

    W: NDArray[Any]
    H: NDArray[Any]
    cost: NDArray[np.float64]
    beta: float

    def components(self) -> Array:
        """The products w_k h_k of which WH is the sum, (n_components, n_freq, n_frames)."""
        return self.W.T[:, :, np.newaxis] * self.H[:, np.newaxis, :]

    def images(self, X: ArrayLike) -> Array:
        """X shared among the components by Wiener masks, (n_components, *X.shape); they sum to X.

        X : (n_freq, n_frames) or (n_channels, n_freq, n_frames), the STFT whose modulus or power V was
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
    update : "mm" never increases the cost; "heuristic" drops the exponent γ(β) (equal for 1 <= beta <= 2);
        "gradient" is steepest descent, the step halved until the cost does not increase: W and H may go negative
    init : (W0, H0), shapes (n_freq, n_components) and (n_components, n_frames); what is None is drawn from `rng`
    dictionary : (n_freq, d), d <= n_components, learnt spectra: the first d columns of W, kept as they are
    accelerate : after ten "mm" iterations, drop the exponent and start every third one from a point extrapolated from
        the last three, as long as neither raises the cost
    tol : stop when an iteration lowers the cost by less than tol times the initial cost
    callback : called as callback(iteration, model) after each iteration, with the NMF so far

    float32 data give a float32 result. For beta <= 0, V is lifted to 1e-15 times its mean.

    >>> V = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 3.0]])
    >>> model = nmf(V, 2, beta=1, n_iter=50, rng=0)
    >>> np.abs(np.round(model.W @ model.H, 6))
    array([[1., 2., 0.],
           [2., 4., 0.],
           [0., 0., 3.]])
    >>> len(model.cost)
    51
    """
    V = as_nonnegative(V, "V", ndim=2)
    beta = as_beta(beta)
    n_components = _as_count(n_components, "n_components", least=1)
    n_iter = _as_count(n_iter, "n_iter", least=0)
    tol = as_finite_number(tol, "tol")
    if update not in UPDATES:
        raise ValueError(f"update is {update!r}; it must be one of {UPDATES}")
    if accelerate and update != "mm":
        raise ValueError(f"accelerate needs update='mm', update is {update!r}")
    W, H, n_fixed = _initial_values(V, n_components, init, dictionary, np.random.default_rng(rng))
    if not V.any():  # silence: H = 0 is exact, whatever W
        return NMF(W, np.zeros_like(H), np.zeros(n_iter + 1), beta)

    # The loop sees V with a mean near 1, and the floors are relative to that mean. The factor goes to H.
    dtype = V.dtype
    if dtype == np.float32 and beta not in (0, 0.5, 1, 1.5, 2, 2.5, 3):  # powers beyond it
        V, W, H = V.astype(float), W.astype(float), H.astype(float)
    exponent = scale_exponent(V)
    V, H = np.ldexp(V, -exponent), np.ldexp(H, -exponent)
    mean = float(V.mean(dtype=float))
    if beta <= 0:
        V = np.maximum(V, V.dtype.type(V_FLOOR * mean))
    floor = 1e-15 if V.dtype == np.float32 else 1e-100 if beta > 0 else 1e-18  # V · floor^(β−2) can be represented
    if update == "gradient":
        floor = 1e-6

    def result(W: Array, H: Array, cost: Array) -> NMF:
        return NMF(W.astype(dtype), np.ldexp(H, exponent).astype(dtype), rescale(cost, exponent, beta), beta)

    def report(t: int, W: Array, H: Array, cost: Array) -> None:
        if callback is not None:
            callback(t, result(W, H, cost))

    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        fit = Fit(V, beta, floor * mean)
        sweep = _GradientDescent() if update == "gradient" else _Multiplicative(exponent_gamma(beta, update))
        W, H, cost = _iterate(fit, W, H, n_fixed, sweep, n_iter, accelerate, tol, report)
    if not (np.isfinite(cost).all() and np.isfinite(W).all() and np.isfinite(H).all()):
        raise ValueError(f"beta is {beta}: its powers of V overflow; V spans too many orders of magnitude for it")
    return result(W, H, cost)


def _iterate(
    fit: Fit,
    W: Array,
    H: Array,
    n_fixed: int,
    sweep: Sweep,
    n_iter: int,
    accelerate: bool,
    tol: float,
    report: Callable[[int, Array, Array, Array], None],
) -> tuple[Array, Array, Array]:
    """Run `sweep` n_iter times from (W, H), faster when asked to: last W and H, and the costs (n_iter + 1,).

    accelerate : after WARM_UP iterations, the exponent 1 takes the place of γ(β) until it raises the cost once, and
    every third iteration starts from a point extrapolated from the last three, unless that raises the cost.
    """

    def look(W: Array, H: Array) -> Parts:  # the cost, and what the next iteration begins with
        return fit.gradient_H(W, H, cost=True) if n_fixed == W.shape[1] else fit.gradient_W(W, H, n_fixed, cost=True)

    def advance(sweep: Sweep, W: Array, H: Array, parts: Parts) -> tuple[Array, Array, Parts]:
        W, H = sweep(fit, W, H, parts, n_fixed)
        return W, H, look(W, H)

    cost = np.empty(n_iter + 1)
    parts = look(W, H)
    cost[0] = parts[2]
    path, longest = [(W, H)], 4.0
    bold = sweep
    for t in range(1, n_iter + 1):
        new = None
        if accelerate and t == WARM_UP + 1 and exponent_gamma(fit.beta) != 1:
            bold = _Multiplicative(1.0)
        if len(path) == 3:
            step = min(_squared_step(path), longest)
            W_far, H_far = (_extrapolate(x0, x1, x2, step) for x0, x1, x2 in zip(*path, strict=True))
            W_far[:, :n_fixed] = W[:, :n_fixed]
            new = advance(bold, W_far, H_far, look(W_far, H_far))
            if new[2][2] > cost[t - 1]:  # too far: shorter jumps from here
                longest, new = max(longest / 2, 1.0), None
            elif step == longest:
                longest *= 4
        if new is None and bold is not sweep:
            new = advance(bold, W, H, parts)
            if new[2][2] > cost[t - 1]:  # too bold
                bold, new = sweep, None
        W, H, parts = new or advance(sweep, W, H, parts)
        cost[t] = parts[2]
        path = [*path, (W, H)] if accelerate and t > WARM_UP and len(path) < 3 else [(W, H)]
        if 0 < cost[t] - cost[t - 1] <= fit.rounding:  # not an increase, but the rounding of the sum
            cost[t] = cost[t - 1]
        report(t, W, H, cost[: t + 1])
        if tol > 0 and cost[t - 1] - cost[t] < tol * cost[0]:
            return W, H, cost[: t + 1]
    return W, H, cost


def _squared_step(path: list[tuple[Array, Array]]) -> float:
    """How far to go along the last two steps r₁, r₂ of W and H: ‖r₁‖ / ‖r₂ − r₁‖, at least 1."""
    first, bend = 0.0, 0.0
    for x0, x1, x2 in zip(*path, strict=True):
        r1, v = x1 - x0, (x2 - x1) - (x1 - x0)
        first, bend = first + float(np.vdot(r1, r1)), bend + float(np.vdot(v, v))
    return max(np.sqrt(first / bend), 1.0) if bend > 0 else 1.0


def _extrapolate(x0: Array, x1: Array, x2: Array, step: float) -> Array:
    """x₀ + 2 a r + a² v, with r = x₁ − x₀, v = x₂ − 2 x₁ + x₀ and a = step; x₂ when a = 1.

    Kept positive: at most half of an entry of x₂ is taken away.
    """
    return np.maximum(x0 + 2 * step * (x1 - x0) + step**2 * (x2 - 2 * x1 + x0), 0.5 * x2)


def exponent_gamma(beta: float, update: str = "mm") -> float:
    """The exponent γ(β) of the multiplicative rule: the one that makes it a majorise–minimise step, or 1 ("heuristic").

    Févotte & Idier 2011, doi:10.1162/NECO_a_00168.

    >>> [exponent_gamma(beta) for beta in (0, 1, 2, 3)]
    [0.5, 1.0, 1.0, 0.5]
    """
    if update == "heuristic" or 1 <= beta <= 2:
        return 1.0
    return 1 / (2 - beta) if beta < 1 else 1 / (beta - 1)


class _Multiplicative:
    """One iteration of the multiplicative rules with exponent γ: W first, then H with the new W."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, fit: Fit, W: Array, H: Array, parts: Parts, n_fixed: int) -> tuple[Array, Array]:
        if n_fixed < W.shape[1]:
            W = _update_W(W, parts, self.gamma, n_fixed)
            parts = fit.gradient_H(W, H)
        return W, _update_H(H, parts, self.gamma)


def _update_W(W: Array, parts: Parts, gamma: float, n_fixed: int) -> Array:
    """W ← W · ( [V̂^(β−2) · V] Hᵀ / [V̂^(β−1)] Hᵀ )^γ(β), for all columns but the first n_fixed.

    W : (n_freq, n_components); parts : numerator and denominator, at V̂ = WH
    """
    W = W.copy()
    W[:, n_fixed:] *= _ratio(parts[0][:, n_fixed:], parts[1][:, n_fixed:], gamma)
    return W


def _update_H(H: Array, parts: Parts, gamma: float) -> Array:
    """H ← H · ( Wᵀ [V̂^(β−2) · V] / Wᵀ [V̂^(β−1)] )^γ(β).

    H : (n_components, n_frames); parts : numerator and denominator, at V̂ = WH with the new W
    """
    return H * _ratio(parts[0], parts[1], gamma)


def _ratio(numerator: Array, denominator: Array, gamma: float) -> Array:
    """(numerator / denominator)^γ, and 0 where the denominator vanishes: zeros of the start stay.

    V̂ = 0 is the only place for it: for β = 2 it is divided by as it is, for the others the floor takes its place.
    """
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    np.minimum(ratio, np.finfo(ratio.dtype).max, out=ratio)  # zero times infinity would not be zero
    if gamma == 1:
        return ratio
    return np.sqrt(ratio, out=ratio) if gamma == 0.5 else np.power(ratio, gamma, out=ratio)


class _GradientDescent:
    """One iteration of plain gradient descent, W ← W − μ ∂D/∂W, then H ← H − η ∂D/∂H with the new W.

    The steps start at 1 / ‖HHᵀ‖ and 1 / ‖WᵀW‖ (times mean(V)^(2−β), for the units), which is safe for β = 2; they are
    halved while the cost would increase and doubled again before the next iteration. Nothing keeps the entries from
    going negative; where V̂ does, the cost is taken at 1e-6 of the mean of V.
    """

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    def __call__(self, fit: Fit, W: Array, H: Array, parts: Parts, n_fixed: int) -> tuple[Array, Array]:
        if n_fixed < W.shape[1]:
            gradient = parts[1] - parts[0]
            gradient[:, :n_fixed] = 0
            W = self._descend(fit, "mu", W, gradient, H, lambda trial: fit.cost(trial, H))
        parts = fit.gradient_H(W, H)
        return W, self._descend(fit, "eta", H, parts[1] - parts[0], W.T, lambda trial: fit.cost(W, trial))

    def _descend(
        self, fit: Fit, name: str, x: Array, gradient: Array, other: Array, cost: Callable[[Array], float]
    ) -> Array:
        before = cost(x)
        unit = fit.mean ** (2 - fit.beta)
        safe = unit / max(float(np.linalg.norm(other @ other.T, 2)), float(np.finfo(x.dtype).tiny))
        step = min(2 * self.steps.get(name, safe), safe)
        for _ in range(60):
            trial = x - x.dtype.type(step) * gradient
            if cost(trial) <= before:
                self.steps[name] = step
                return trial
            step /= 2
        return x


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
    W = 1 - rng.random((n_freq, n_components)) if W0 is None else _as_factor(W0, "W0", (n_freq, n_components))
    H = 1 - rng.random((n_components, n_frames)) if H0 is None else _as_factor(H0, "H0", (n_components, n_frames))
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


def _as_factor(x: ArrayLike, name: str, shape: tuple[int, int]) -> Array:
    """An initial factor of the right shape, as a copy, or a ValueError."""
    factor = as_nonnegative(x, f"init {name}", ndim=2)
    if factor.shape != shape:
        raise ValueError(f"init {name} has shape {factor.shape}; it must be {shape}")
    return factor


def _as_count(x: int, name: str, least: int) -> int:
    """x as an integer >= least, or a ValueError that names it."""
    try:
        count = index(x)
    except TypeError:
        raise ValueError(f"{name} is {x!r}; it must be an integer >= {least}") from None
    if count < least or isinstance(x, bool | np.bool_):
        raise ValueError(f"{name} is {x!r}; it must be an integer >= {least}")
    return count
