"""Separation that knows only the mixture: the start of `mnmf.initialise(method="blind")`.

`separate_blind` gives images (n_sources, n_channels, n_freq, n_frames) that sum to X. Two recipes:

*As many sources as channels* (`separate_determined`). Inside one bin, separation is a small matrix; the difficulty is
that each bin finds its sources in an order of its own. So two steps alternate.

1. `local_iva`: each output's variance at (f, n) is its own power, smoothed over a few neighbouring bins; given the
   variances, the best demixing of two outputs in a bin is a 2 × 2 generalised eigenproblem (Ono 2012, "Fast stereo
   independent vector analysis").
2. `reorder`: each bin chooses its order by three witnesses. *Neighbours*: a source is active in neighbouring bins at
   the same time (after Sawada, Araki & Makino 2011, doi:10.1109/TASL.2010.2051355). *Paths*: a source reaches the
   microphones with the same delays in every bin. *Activations*: an NMF of each output says when its notes sound; whose
   activations explain this bin?

The paths speak before the activations do: without a direct sound (mixing by dense, shapeless echoes) they can mislead.

*More sources than channels* (`cluster_masks`, `full_rank_images`). The directions x / |x| of a bin are clustered by a
mixture of complex angular central Gaussians (Ito, Araki & Nakatani 2016, doi:10.1109/EUSIPCO.2016.7760429), started
from the delays most heard in the recording; the prior of a class at (f, n) is its posterior averaged over neighbouring
bins, from the whole band down to a few, which keeps the bins in one order. The clusters say where each source is and
when; from there, a multichannel NMF whose sources are no points (`full_rank_images`) learns what each is made of.

Shapes: X, Y, Z (channels or outputs, F, N); P powers (J, F, N); costs (F, J, J), of calling output i source j.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from nmflib._check import as_channels
from nmflib._hermitian import entry, invert, pack, pack_outer, unpack
from nmflib._nmf import nmf
from nmflib._threads import one_blas_thread

Array = NDArray[Any]
Seed = int | np.random.Generator

TINY = 1e-30
LEAST_DIRECTION = 1e-9  # of the power of a bin, when its covariance is inverted
FLOOR = 1e-3  # of the mean variance, added to every variance: no frame weighs more than a thousand mean ones
SPAN, STEP = 64.0, 0.25  # delays tried, in samples: -64 … 64
CANDIDATES = 24  # delays, the best of which are the sources
REACH = 24  # bins a bin is compared with on either side
REFINEMENTS = 40  # of the orders
NATS = 0.2  # weight of one nat of the activations' cost beside one unit of correlation or cosine
ROUND = 0.03  # of the mean power of the channels, in every direction, is part of a class
FULL_RANK_COMPONENTS = 32  # per source
PHASES = 20000  # bins that vote for delays, spread evenly
TAPS = 16  # of a relative impulse response that are kept


def separate_blind(X: ArrayLike, n_sources: int, *, rng: Seed = 0) -> Array:
    """Images (n_sources, I, F, N) of the sources of X (I, F, N), knowing nothing else; they sum to X.

    As many sources as channels: `separate_determined`. More: `cluster_masks`, then `full_rank_images`. `rng` draws the
    starts of the NMFs.

    >>> rng = np.random.default_rng(0)
    >>> S = rng.standard_normal((2, 33, 60)) * np.repeat(rng.exponential(size=(2, 1, 60)), 33, axis=1)
    >>> A = rng.standard_normal((33, 2, 2))
    >>> X = np.einsum("fij,jfn->ifn", A, S)
    >>> images = separate_blind(X, 2)
    >>> images.shape, bool(np.allclose(images.sum(0), X))
    ((2, 2, 33, 60), True)
    """
    X = as_channels(X)
    if isinstance(n_sources, bool) or not isinstance(n_sources, int | np.integer) or n_sources < 1:
        raise ValueError(f"n_sources is {n_sources!r}; it must be an integer >= 1")
    if n_sources < len(X) or (n_sources > 1 and len(X) < 2):
        raise ValueError(
            f"n_sources is {n_sources} and X has {len(X)} channels; the blind start needs "
            "at least as many sources as channels, and two channels for two sources or more"
        )
    if n_sources > 5:
        raise ValueError(f"n_sources is {n_sources}; the blind start tries every order of the sources and stops at 5")
    if n_sources == 1 or not X.any():
        return np.broadcast_to(X / n_sources, (n_sources, *X.shape)).astype(X.dtype)
    exponent = math.frexp(max(np.abs(X.real).max(), np.abs(X.imag).max()))[1]
    x = times_power_of_two(X.astype(complex), -exponent)
    with one_blas_thread():
        if n_sources == len(X):
            images = separate_determined(x, whiten(filled(x)), rng=rng)
        else:
            images = full_rank_images(x, cluster_masks(x, n_sources), FULL_RANK_COMPONENTS, 40, rng=rng)
    images += (x - images.sum(0)) / n_sources  # rounding, and directions that whitening left out
    return times_power_of_two(images, exponent).astype(X.dtype)


def times_power_of_two(X: Array, exponent: int) -> Array:
    """2^exponent X of complex X, also where 2^exponent cannot be represented."""
    return np.ldexp(np.ascontiguousarray(X).view(float), exponent).view(complex)


# ---------------------------------------------------------------------------------------- as many sources as channels


def separate_determined(X: Array, Y: Array, *, rng: Seed = 0) -> Array:
    """Images (J, I, F, N) of X (I, F, N), I = J, from the start Y (J, F, N): `whiten(X)`, turned or not."""
    rng = np.random.default_rng(rng)
    Y = local_iva(Y.astype(np.complex64), 20, width=4)
    Y = reorder(Y, neighbours_agreement(Y), path_cost(X, Y, search=True))
    for n_components in (2, 2, 16, 16):
        Y = local_iva(Y, 10, width=4)
        Y = reorder(Y, neighbours_agreement(Y), path_cost(X, Y), activation_cost(Y, n_components, rng))
    return project_back(X, Y)


def whiten(X: Array) -> Array:
    """(I, F, N) with covariance 1 in every bin; no direction counts as weaker than `LEAST_DIRECTION` of it."""
    C = covariance(X, X)
    trace = np.trace(C, axis1=1, axis2=2).real
    C = C + (LEAST_DIRECTION * trace + 1e-15 * trace.mean() + TINY)[:, None, None] * np.eye(len(X))
    values, U = np.linalg.eigh(C)
    return np.einsum("fij,jfn->ifn", (U / np.sqrt(values)[:, None]) @ U.conj().swapaxes(1, 2), X)


def filled(X: Array) -> Array:
    """X (I, F, N) with white noise where a bin has fewer directions than channels, at what `whiten` takes as the least.

    Fewer sources than microphones without noise, equal channels: rounding would be what the last output hears.
    """
    C = covariance(X, X)
    trace = np.trace(C, axis1=1, axis2=2).real
    singular = np.linalg.eigvalsh(C)[:, 0] <= LEAST_DIRECTION * trace
    if not singular.any():
        return X
    noise = np.random.default_rng(0).standard_normal((2, *X.shape))
    deviation = np.sqrt(singular * (LEAST_DIRECTION * trace + 1e-15 * trace.mean()) / 2)
    return X + deviation[:, None] * (noise[0] + 1j * noise[1])


def covariance(A: Array, B: Array) -> Array:
    """(F, I, J) mean over frames of a_i conj(b_j)."""
    return (A.swapaxes(0, 1) @ B.conj().transpose(1, 2, 0)) / A.shape[2]


def project_back(X: Array, Y: Array) -> Array:
    """Images (J, I, F, N): what each output explains of each channel, by least squares. They sum to X when I = J."""
    Y = Y.astype(complex)
    return np.einsum("fij,jfn->jifn", mixing(X, Y), Y)


def mixing(X: Array, Y: Array) -> Array:
    """(F, I, J) least-squares A of X = A Y."""
    C = covariance(Y, Y)
    C = C + (1e-13 * np.trace(C, axis1=1, axis2=2).real + TINY)[:, None, None] * np.eye(len(Y))
    return np.linalg.solve(C.swapaxes(1, 2), covariance(X, Y).swapaxes(1, 2)).swapaxes(1, 2)


def local_iva(Y: Array, n_iter: int, *, width: int) -> Array:
    """IVA whose variances are the outputs' own powers, smoothed over `width` + 1 neighbouring bins."""
    for _ in range(n_iter):
        for m, n in itertools.combinations(range(len(Y)), 2):
            r = smooth(unit_power(Y), width)
            Y = update_pair(Y, r + FLOOR * r.mean((1, 2), keepdims=True) + TINY, m, n)
    return Y


def unit_power(Y: Array) -> Array:
    """|Y|² (J, F, N) divided by its mean in every bin."""
    P = Y.real**2 + Y.imag**2
    return P / (P.mean(2, keepdims=True) + TINY)


def smooth(P: Array, width: int) -> Array:
    """Mean of P (..., F, N) over the bins f − width/2 … f + width/2 that exist."""
    F, half = P.shape[-2], min(width // 2, P.shape[-2] - 1)
    total, count = P.copy(), np.ones((F, 1), P.dtype)
    for o in range(1, half + 1):
        total[..., o:, :] += P[..., :-o, :]
        total[..., :-o, :] += P[..., o:, :]
        count[o:] += 1
        count[:-o] += 1
    return total / count


def update_pair(Y: Array, r: Array, m: int, n: int) -> Array:
    """Outputs m and n replaced by the best two combinations of all outputs, given the variances r (J, F, N).

    Per bin, w_m and w_n are generalised eigenvectors of V_m w = λ V_n w, V_k = mean of y yᴴ / r_k, when there are two
    outputs; with more, of the two matrices seen in the plane that leaves the other outputs as they are. Ono 2012.
    """
    J = len(Y)
    outer = pack_outer(Y.swapaxes(0, 1))  # y yᴴ, (F, J², N)
    V = [unpack((outer @ (1 / r[k])[..., None])[..., 0] / Y.shape[2], J) for k in (m, n)]
    trace = [np.trace(v, axis1=1, axis2=2).real[:, None, None] + TINY for v in V]
    V = [v + 1e-9 * t * np.eye(J) for v, t in zip(V, trace, strict=True)]
    planes = [np.linalg.inv(v)[:, :, [m, n]] * t for v, t in zip(V, trace, strict=True)]  # (F, J, 2)
    U = [p.conj().swapaxes(1, 2) @ v @ p for p, v in zip(planes, V, strict=True)]
    updated = Y.copy()
    for k, plane, w in zip((m, n), planes, eigenvectors(*U), strict=True):
        updated[k] = np.einsum("fj,jfn->fn", np.einsum("fjp,fp->fj", plane, w).conj().astype(Y.dtype), Y)
    return updated


def eigenvectors(U: Array, V: Array) -> tuple[Array, Array]:
    """The two w of U w = λ V w, 2 × 2 Hermitian (F, 2, 2), largest λ first, scaled to wᴴUw = 1 and wᴴVw = 1."""
    trace = np.trace(V, axis1=1, axis2=2).real[:, None, None]
    M = np.linalg.solve(V + 1e-12 * (trace + TINY) * np.eye(2), U)
    half = (M[:, 0, 0] + M[:, 1, 1]).real / 2
    root = np.sqrt(np.maximum(half**2 - (M[:, 0, 0] * M[:, 1, 1] - M[:, 0, 1] * M[:, 1, 0]).real, 0))
    found = []
    for k, (value, metric) in enumerate([(half + root, U), (half - root, V)]):
        first = np.stack([M[:, 0, 1], value - M[:, 0, 0]], axis=1)
        second = np.stack([value - M[:, 1, 1], M[:, 1, 0]], axis=1)
        size = [(np.abs(w) ** 2).sum(1) for w in (first, second)]
        w = np.where((size[0] >= size[1])[:, None], first, second)
        w[np.maximum(*size) <= 1e-20 * half**2] = np.eye(2)[k]  # U is a multiple of V: nothing to choose
        power = np.einsum("fi,fij,fj->f", w.conj(), metric, w).real
        found.append(w / np.sqrt(np.maximum(power, TINY))[:, None])
    return found[0], found[1]


def reorder(Y: Array, neighbours: Array, *costs: Array) -> Array:
    """Y (J, F, N) with every bin in the order that agrees best with its neighbours and costs least.

    neighbours : (offsets, F, J, J) from `neighbours_agreement`; costs : (F, J, J). The orders q (F, orders)
    are probabilities, refined by mean field: a bin meets its neighbours as they are on average.
    """
    J, F, _ = Y.shape
    orders = np.array(list(itertools.permutations(range(J))))
    matrices = np.eye(J)[orders].swapaxes(1, 2)  # (orders, J outputs, J sources): 1 where output i is source j
    own = sum(costs, np.zeros((F, J, J)))
    agreement = np.zeros((F, J, 2 * REACH + 1, J))  # of every output with those of the bins from f − REACH to f + REACH
    for o, forward in enumerate(neighbours[: F - 1], start=1):
        agreement[:-o, :, REACH + o] = forward[:-o]
        agreement[o:, :, REACH - o] = forward[:-o].swapaxes(1, 2)
    padded = np.zeros((F + 2 * REACH, J, J))
    soft = padded[REACH:-REACH]
    soft[:] = (0.0 if costs else 0.1) * np.eye(J)  # with costs, they speak first
    around = sliding_window_view(padded.reshape(-1, J), (2 * REACH + 1) * J, axis=0)[::J].swapaxes(1, 2)  # a view
    for _ in range(REFINEMENTS):
        met = agreement.reshape(F, J, -1) @ around
        score = np.einsum("pij,fij->fp", matrices, met - own)
        q = np.exp(score - score.max(1, keepdims=True))
        soft[:] = np.einsum("fp,pij->fij", q / q.sum(1, keepdims=True), matrices)
    best = orders[score.argmax(1)]  # (F, J)
    return np.take_along_axis(Y, best.T[:, :, None], axis=0)


def neighbours_agreement(Y: Array) -> Array:
    """(REACH, F, J, J) how alike output i at bin f and output j at bin f + o are active, for o = 1 … REACH.

    Activity is the share of an output in the unit powers, so that a loud and a quiet bin count alike; the correlations
    over time weigh exp(−o / 8).
    """
    P = unit_power(Y)
    share = P / (P.sum(0) + TINY)
    share -= share.mean(2, keepdims=True)
    share /= np.sqrt((share**2).sum(2, keepdims=True)) + TINY
    S = np.ascontiguousarray(share.swapaxes(0, 1))  # (F, J, N)
    agreement = np.zeros((REACH, len(S), len(Y), len(Y)))
    for o in range(1, min(REACH, len(S) - 1) + 1):
        agreement[o - 1, :-o] = np.exp(-o / 8) * (S[:-o] @ S[o:].swapaxes(1, 2))
    return agreement


def path_cost(X: Array, Y: Array, *, search: bool = False) -> Array:
    """(F, J, J) minus the cosine between the phases of output i's path and those that source j's path would have.

    A path is what another microphone hears of one source over what microphone 0 hears, its modulus left out. With
    `search`, the paths are pure delays of the last microphone, those that fit all bins best whatever their orders;
    without, relative impulse responses of the outputs in their present order, the TAPS largest samples of each.
    """
    J, F, _ = Y.shape
    A = mixing(X, Y)
    phase = A[:, 1:] * A[:, :1].conj()
    phase = phase / (np.abs(phase) + TINY)  # (F, I − 1, J)
    if not search:
        h = np.fft.irfft(phase, max(2 * (F - 1), 1), axis=0)
        lag = np.minimum(np.arange(len(h)), len(h) - np.arange(len(h)))
        h[lag > 2 * SPAN] = 0
        kept = min(TAPS, len(h))
        h[np.abs(h) < np.sort(np.abs(h), axis=0)[-kept]] = 0
        path = np.fft.rfft(h, axis=0)
        return -np.einsum("fci,fcj->fij", phase.conj(), path).real / phase.shape[1]
    delay = np.arange(-SPAN, SPAN + STEP / 2, STEP)
    steering = np.exp(-1j * np.pi / max(F - 1, 1) * np.outer(np.arange(F), delay))
    fit = np.einsum("fi,fd->fid", phase[:, -1].conj().astype(np.complex64), steering.astype(np.complex64)).real
    heard = fit.sum((0, 1))
    best: list[int] = []
    while len(best) < CANDIDATES:
        best.append(int(heard.argmax()))
        heard[np.abs(delay - delay[best[-1]]) <= STEP] = -np.inf
    fit = fit[:, :, best]
    orders = np.array(list(itertools.permutations(range(J))))

    def total(sources: tuple[int, ...]) -> float:
        return float(np.max([sum(fit[:, i, sources[j]] for i, j in enumerate(p)) for p in orders], axis=0).sum())

    chosen = max(itertools.combinations(range(CANDIDATES), J), key=total)
    return -fit[:, :, list(chosen)].astype(float)


def activation_cost(Y: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(F, J, J) Itakura–Saito cost of explaining output i in a bin by the activations of source j.

    The activations H_j are those of an NMF of output j over all bins, where the few bins in the wrong order hardly
    count. Each bin is then explained by them with weights of its own.
    """
    P = (unit_power(Y) + FLOOR).astype(np.float32)
    J, F, N = P.shape
    cost = np.empty((F, J, J))
    for j in range(J):
        W = rng.uniform(0.5, 1, (F, n_components)).astype(np.float32)
        H = rng.uniform(0.5, 1, (n_components, N)).astype(np.float32)
        for _ in range(40):
            W *= _ratio(P[j], W, H)
            H *= _ratio(P[j].T, H.T, W.T).T
        H /= H.mean(1, keepdims=True)
        for i in range(J):
            W = np.full((F, n_components), 1 / n_components, np.float32)
            for _ in range(25):
                W *= _ratio(P[i], W, H)
            V = W @ H
            cost[:, i, j] = (P[i] / V + np.log(V)).sum(1)
    return NATS * cost


def _ratio(V: Array, W: Array, H: Array) -> Array:
    """Square root of the ratio of the two parts of the gradient in W of d_IS(V | W H). Févotte & Idier 2011."""
    inverse = 1 / (W @ H)
    return np.sqrt(((V * inverse**2) @ H.T) / (inverse @ H.T))


# -------------------------------------------------------------------------------------- more sources than channels


def cluster_masks(X: Array, n_sources: int) -> Array:
    """(J, F, N) soft masks that sum to 1, from the directions z = x / |x| of X (I, F, N), I >= 2.

    B_jf (I × I) is the shape of class j in bin f. The posterior of a class is prior · |B|⁻¹ (zᴴ B⁻¹ z)^−I, its prior
    the mean posterior of the neighbouring bins, and B the posterior-weighted mean of zzᴴ / (zᴴ B⁻¹ z), of trace I, plus
    ROUND times the identity. Ito, Araki & Nakatani 2016. The square root of the posteriors, made to sum to 1, is a mask
    less sure of itself: bins hold more than one source.
    """
    n_channels, F, _ = X.shape
    z = X / (np.sqrt((np.abs(X) ** 2).sum(0)) + TINY)
    masks = delay_masks(X, n_sources)
    quadratic = np.ones_like(masks)
    for width in (*[2 * F] * 3, *[64] * 3, *[16] * 3, *[4] * 6):
        B = np.stack([covariance(z * weight, z) for weight in masks / quadratic])  # (J, F, I, I)
        B = unit_trace(B) + ROUND * np.eye(n_channels)
        quadratic = np.stack([(z.conj() * apply(b, z)).sum(0).real for b in np.linalg.inv(B)]) + TINY
        prior = masks.mean(1, keepdims=True) if width >= 2 * F else smooth(masks, width)
        log = np.log(prior + TINY) - np.log(np.linalg.det(B).real)[..., None] - n_channels * np.log(quadratic)
        masks = np.exp(log - log.max(0))
        masks /= masks.sum(0)
    masks = np.sqrt(masks)
    return masks / masks.sum(0)


def wiener_images(X: Array, masks: Array) -> Array:
    """Images (J, I, F, N) = v_j R_j (Σ v R)⁻¹ x: the multichannel Wiener filter of the masks (J, F, N). They sum to X.

    v_j = mask · mean power of the channels, R_j the masked covariance of its bin, from `covariance_shapes`.
    Duong, Vincent & Gribonval 2010, doi:10.1109/TASL.2010.2050716.
    """
    P = (np.abs(X) ** 2).mean(0)
    v = masks * P + 1e-6 * P.mean(1, keepdims=True) + TINY
    R = covariance_shapes(X, masks)
    total = np.einsum("jfn,jfik->fnik", v, R, optimize=True)
    size = np.trace(total, axis1=2, axis2=3).real[..., None]  # near 1 before it is inverted
    whitened = np.linalg.solve(total / size[..., None], np.moveaxis(X, 0, 2)[..., None])[..., 0] / size
    return np.stack([apply(r, np.moveaxis(whitened, 2, 0)) * w for r, w in zip(R, v, strict=True)])


def full_rank_images(X: Array, masks: Array, n_components: int, n_iter: int, *, rng: Seed = 0) -> Array:
    """Images (J, I, F, N) of X (I, F, N) by multichannel NMF with full-rank covariances, started from masks (J, F, N).

    x ~ N_c(0, Σ),  Σ = Σ_j p_j R_j + ε 1,  p_j = W_j H_j. R_j (F, I, I) is what the room makes of source j in a bin; of
    rank one it would be a aᴴ, a column of the mixing. At first p_j is an NMF of the masked power and R_j the masked
    covariance, as in `wiener_images`. Then W, H and R in turn, by updates that never raise −log p(x):

        w ← w (Σ_n h yᴴRy / Σ_n h tr Σ⁻¹R)^½,  h likewise over f;   R ← C⁻¹ # RDR,  C = mean p Σ⁻¹,  D = mean p yyᴴ

    where y = Σ⁻¹x and # is the geometric mean. The images are p_j R_j y.
    Sawada, Kameoka, Araki & Ueda 2013, doi:10.1109/TASL.2013.2239990.
    """
    x = np.ascontiguousarray(X.swapaxes(0, 1))  # (F, I, N)
    power = (np.abs(X) ** 2).mean(0)
    noise = 1e-6 * power.mean(1) + 1e-12 * power.mean() + TINY  # ε (F,)
    R = covariance_shapes(X, masks)
    W, H = [], []
    for mask in masks:
        model = nmf(mask * power + noise[:, None], n_components, beta=0, update="heuristic", n_iter=30, rng=rng)
        W.append(model.W)
        H.append(model.H)
    for parameter in ["W", "H", "R"] * n_iter + ["images"]:
        P = np.stack([w @ h for w, h in zip(W, H, strict=True)])
        inverse, y = invert_covariance(x, R, P, noise)
        if parameter == "R":
            R = update_shapes(R, P, inverse, y)
        elif parameter != "images":
            rise, fall = (pair_traces(R, B) for B in (pack_outer(y), inverse))
            for j in range(len(masks)):
                if parameter == "W":
                    W[j] = W[j] * np.sqrt((rise[j] @ H[j].T) / (fall[j] @ H[j].T + TINY))
                else:
                    H[j] = H[j] * np.sqrt((W[j].T @ rise[j]) / (W[j].T @ fall[j] + TINY))
    return np.stack([apply(r, y.swapaxes(0, 1)) * p for r, p in zip(R, P, strict=True)])


def covariance_shapes(X: Array, masks: Array) -> Array:
    """R (J, F, I, I): masked covariances of X (I, F, N) / its power, of trace I, plus ROUND: no source is a point."""
    P = (np.abs(X) ** 2).mean(0)
    return unit_trace(np.stack([covariance(X * mask / (P + TINY), X) for mask in masks])) + ROUND * np.eye(len(X))


def invert_covariance(x: Array, R: Array, P: Array, noise: Array) -> tuple[Array, Array]:
    """Σ⁻¹ packed as (F, I², N), and y = Σ⁻¹x (F, I, N). x : (F, I, N), R : (J, F, I, I), P : (J, F, N), noise : (F,)"""
    n_channels = x.shape[1]
    Sigma = packed(R) @ P.swapaxes(0, 1)
    Sigma[:, :n_channels] += noise[:, None, None]
    planes, _ = invert(Sigma, np.repeat(noise[:, None], n_channels, axis=1))
    rows = [[entry(planes, i, k) * x[:, k] for k in range(n_channels)] for i in range(n_channels)]
    return pack(planes, n_channels), np.stack([sum(row) for row in rows], axis=1)


def update_shapes(R: Array, P: Array, inverse: Array, y: Array) -> Array:
    """R ← C⁻¹ # RDR, (J, F, I, I), C = mean p Σ⁻¹, D = mean p yyᴴ: what was seen over what was expected."""
    weight = np.ascontiguousarray(P.transpose(1, 2, 0))  # (F, N, J)
    n_channels = R.shape[-1]
    C, D = (np.moveaxis(unpack((B @ weight).swapaxes(1, 2), n_channels), 1, 0) for B in (inverse, pack_outer(y)))
    size = np.trace(C, axis1=2, axis2=3).real[..., None, None] + TINY
    return geometric_mean(np.linalg.inv(C / size + 1e-9 * np.eye(n_channels)), R @ D @ R / size)


def geometric_mean(A: Array, B: Array) -> Array:
    """A^½ (A^−½ B A^−½)^½ A^½ of Hermitian matrices (..., I, I), A positive, B >= 0."""

    def powers(M: Array, *exponents: float) -> list[Array]:
        values, U = np.linalg.eigh((M + M.conj().swapaxes(-1, -2)) / 2)
        values = np.maximum(values, TINY)[..., None, :]
        return [(U * values**exponent) @ U.conj().swapaxes(-1, -2) for exponent in exponents]

    half, inverse_half = powers(A, 0.5, -0.5)
    return half @ powers(inverse_half @ B @ inverse_half, 0.5)[0] @ half


def packed(R: Array) -> Array:
    """Hermitian (J, F, I, I) as I² real rows (F, I², J), in the order of `hermitian.pack`."""
    n = R.shape[-1]
    return pack({(i, k): R[..., i, k].T if i != k else R[..., i, i].real.T for i in range(n) for k in range(i, n)}, n)


def pair_traces(R: Array, B: Array) -> Array:
    """(J, F, N) tr R_j B of R (J, F, I, I) and B packed as (F, I², N)."""
    weight = packed(R)
    weight[:, R.shape[-1] :] *= 2  # each pair of entries beside the diagonal is stored once
    return (weight.swapaxes(1, 2) @ B).swapaxes(0, 1)


def unit_trace(B: Array) -> Array:
    """(..., I, I) with trace I; zeros stay zeros."""
    return B * (B.shape[-1] / (np.trace(B, axis1=-2, axis2=-1).real + TINY))[..., None, None]


def apply(B: Array, z: Array) -> Array:
    """(I, F, N) = B (F, I, I) times z (I, F, N) in every bin and frame."""
    return (B @ z.swapaxes(0, 1)).swapaxes(0, 1)


def delay_masks(X: Array, n_sources: int) -> Array:
    """(J, F, N) soft masks of the J delays between the first and the last channel that `heard_delays` finds."""
    F = X.shape[1]
    phase = X[-1] * X[0].conj()
    phase = phase / (np.abs(phase) + TINY)
    steering = np.exp(-1j * np.pi / max(F - 1, 1) * np.outer(heard_delays(X, n_sources), np.arange(F)))
    closeness = np.einsum("jf,fn->jfn", steering.conj(), phase).real  # the phase of a delay d is exp(−iωd)
    masks = np.exp(3 * closeness)
    return masks / masks.sum(0)


def heard_delays(X: Array, n_sources: int) -> Array:
    """(J,) delays d, in samples, that maximise Σ_fn max_j exp(3 cos(φ + ωd_j)), φ the phase of the last channel.

    Every bin counts for the delay it is closest to, so that delays less than a wavelength apart are told apart. One
    delay after the other is added, then exchanged while that helps. At most PHASES bins are looked at.
    """
    F = X.shape[1]
    product = (X[-1] * X[0].conj()).ravel()
    heard = np.flatnonzero(product)
    heard = heard[:: -(-len(heard) // PHASES) or 1]
    omega = (np.pi / max(F - 1, 1) * (heard // X.shape[2])).astype(np.float32)
    delay = np.arange(-SPAN, SPAN + STEP / 2, STEP)
    fit = np.exp(3 * np.cos(np.angle(product[heard]).astype(np.float32) + np.outer(delay, omega).astype(np.float32)))
    chosen: list[int] = []
    best = -1.0
    for j in itertools.cycle(range(n_sources)):
        others = fit[[c for k, c in enumerate(chosen) if k != j]].max(0, initial=0.0)
        totals = np.maximum(fit, others).sum(1, dtype=float)
        k = int(totals.argmax())
        if j == len(chosen):
            chosen.append(k)
            unchanged, best = 0, totals[k]
        elif totals[k] > best * (1 + 1e-9):
            unchanged, best, chosen[j] = 0, totals[k], k
        else:
            unchanged += 1
        if unchanged == n_sources:
            break
    return delay[chosen]
