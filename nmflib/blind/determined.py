"""As many sources as channels: AuxIVA with local variances, in alternation with permutation alignment.

Inside one bin, separation is a small matrix; each bin finds its sources in an order of its own. So two steps alternate.

1. `aux_iva`: the variance of an output at (f, n) is its own power, smoothed over a few neighbouring bins; given the
   variances, the best demixing of two outputs in a bin is a 2 × 2 generalised eigenproblem (IP2: Ono 2012, "Fast stereo
   independent vector analysis").
2. `align_permutation`: each bin chooses its order by three cues. *Activity*: a source is active in neighbouring bins at
   the same time (after Sawada, Araki & Makino 2011, doi:10.1109/TASL.2010.2051355). *Paths*: a source reaches the
   microphones with the same delays, or relative transfer functions, in every bin. *Activations*: an NMF of each output
   gives its activations over time; an output in this bin belongs to the source whose activations explain it best.

The spatial cue is used before the activations are. Without a direct sound (mixing by dense, shapeless echoes) it can
mislead. The NMFs start at random, so the rounds are run twice, and the likelihood chooses (`low_rank_cost`).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nmflib._check import Array
from nmflib._hermitian import generalised_eigenvectors, pack_outer, unpack
from nmflib._nmf import nmf
from nmflib.blind.arrays import TINY, Progress, Seed, covariance, mixing, project_back, smooth, unit_power

VARIANCE_FLOOR = 1e-3  # of the mean variance, added to every variance: no frame weighs more than a thousand mean ones
MAX_DELAY, DELAY_STEP = 64.0, 0.25  # samples: delays from −64 to 64 are tried
CANDIDATES = 24  # delays, the best of which are the sources
TAPS = 16  # samples of a relative impulse response that are kept
NEIGHBOURS = 24  # bins on either side with which a bin is compared
MEAN_FIELD_STEPS = 40
SCHEDULES = (256, 64, 64), (64, 64, 64)  # bins per component of the NMF of each output, round by round
LEAST_LOG_DET = -50.0  # nats: the outputs of a bin are copies of one another
ACTIVATION_WEIGHT = 0.2  # of one nat of the activations' cost, beside one unit of correlation or cosine


def separate_determined(X: Array, Y: Array, *, rng: Seed = 0, progress: Progress | None = None) -> Array:
    """Images (J, I, F, N) of X (I, F, N), I = J, from the start Y (J, F, N): `whiten(X)`, rotated or not.

    The rounds are run once for each of SCHEDULES; the outputs of least `low_rank_cost` are taken.
    progress : called after each round with the share of the work that is done
    """
    tell = progress or (lambda share: None)
    rng = np.random.default_rng(rng)
    Y = aux_iva(Y.astype(np.complex64), 20, width=4)
    Y = align_permutation(Y, activity_correlation(Y), delay_cost(X, Y))
    done, found = 1, [Y] * len(SCHEDULES)
    for k, schedule in enumerate(SCHEDULES):
        for n_bins in schedule:
            tell(done / (1 + sum(map(len, SCHEDULES))))
            done, Z = done + 1, aux_iva(found[k], 10, width=4)
            costs = rtf_cost(X, Z), activation_cost(Z, max(2, len(Z[0]) // n_bins), rng)
            found[k] = align_permutation(Z, activity_correlation(Z), *costs)
    tell(1.0)
    return project_back(X, min(found, key=low_rank_cost))


def low_rank_cost(Y: Array) -> float:
    """Minus the log-likelihood per bin and frame of the outputs Y (J, F, N), their variances an NMF of each output.

    The outputs are taken at unit power, and −log det of their correlation matrix counts how far they are from one
    another. Every second bin is enough.
    """
    P = (unit_power(Y[:, ::2]) + VARIANCE_FLOOR).astype(np.float32)
    models = [nmf(p, 16, beta=0, n_iter=60, rng=0) for p in P]
    variances = np.stack([model.W @ model.H for model in models])
    C = covariance(Y, Y) + TINY * np.eye(len(Y))
    size = np.sqrt(np.diagonal(C, axis1=1, axis2=2).real)
    _, log_det = np.linalg.slogdet(C / (size[:, :, None] * size[:, None]))
    log_det = np.maximum(log_det, LEAST_LOG_DET)
    return float((P / variances + np.log(variances)).mean((1, 2)).sum() - log_det.mean())


def aux_iva(Y: Array, n_iter: int, *, width: int) -> Array:
    """IVA from the outputs Y (J, F, N); their variances are their own powers, smoothed over `width` + 1 bins.

    The demixing matrices W (F, J, J) act on the outputs of the start, whose y yᴴ are computed once.
    """
    J, F, N = Y.shape
    outer = pack_outer(Y.swapaxes(0, 1))  # y yᴴ, (F, J², N)
    W = np.tile(np.eye(J, dtype=complex), (F, 1, 1))
    for _ in range(n_iter):
        for m, n in itertools.combinations(range(J), 2):
            P = output_powers(W, outer)
            r = smooth(P / (P.mean(2, keepdims=True) + TINY), width)
            r += VARIANCE_FLOOR * r.mean((1, 2), keepdims=True) + TINY
            V = outer @ (1 / r[[m, n]]).transpose(1, 2, 0)  # (F, J², 2)
            W = ip2(W, unpack(V.transpose(2, 0, 1) / N, J), m, n)
            W /= np.linalg.norm(W, axis=2, keepdims=True) + TINY
    return (W @ Y.swapaxes(0, 1)).swapaxes(0, 1).astype(Y.dtype)


def output_powers(W: Array, outer: Array) -> Array:
    """|w_jᴴ y|² (J, F, N) of the rows w_jᴴ of W (F, J, J), from y yᴴ packed as (F, J², N)."""
    J = W.shape[1]
    weights = pack_outer(W.conj().swapaxes(1, 2)).astype(outer.dtype)
    weights[:, J:] *= 2  # each pair of entries beside the diagonal is stored once
    P = np.empty((J, len(outer), outer.shape[2]), outer.dtype)
    np.matmul(weights.swapaxes(1, 2), outer, out=P.swapaxes(0, 1))
    return np.maximum(P, 0, out=P)


def ip2(W: Array, V: Array, m: int, n: int) -> Array:
    """W (F, J, J) with the best rows m and n, given their weighted covariances V (2, F, J, J). Ono 2012.

    Per bin, w_m and w_n are generalised eigenvectors of V_n w = λ V_m w, V_k = mean of y yᴴ / r_k, when there are two
    outputs; with more, of the two matrices seen in the planes that leave the other rows as they are.
    """
    trace = np.trace(V, axis1=2, axis2=3).real[..., None, None] + TINY
    V = V + 1e-9 * trace * np.eye(W.shape[1])
    if W.shape[1] == 2:
        return np.stack(generalised_eigenvectors(V[1], V[0]), axis=1).conj()
    planes = np.linalg.inv(W @ V)[..., [m, n]] * trace  # (2, F, J, 2)
    U = planes.conj().swapaxes(2, 3) @ V @ planes
    W = W.copy()
    for k, plane, w in zip((m, n), planes, generalised_eigenvectors(*U), strict=True):
        W[:, k] = (plane @ w[..., None])[..., 0].conj()
    return W


def align_permutation(Y: Array, neighbours: Array, *costs: Array) -> Array:
    """Y (J, F, N) with every bin in the order that agrees best with its neighbours and costs least.

    neighbours : (offsets, F, J, J) from `activity_correlation`; costs : (F, J, J). The orders q (F, orders)
    are probabilities, refined by mean field: each bin sees the mean orders of its neighbours.
    """
    J, F, _ = Y.shape
    orders = np.array(list(itertools.permutations(range(J))))
    matrices = np.eye(J)[orders].swapaxes(1, 2)  # (orders, J outputs, J sources): 1 where output i is source j
    own = sum(costs, np.zeros((F, J, J)))
    agreement = np.zeros((F, J, 2 * NEIGHBOURS + 1, J))  # with the outputs of bins f − NEIGHBOURS to f + NEIGHBOURS
    for o, forward in enumerate(neighbours[: F - 1], start=1):
        agreement[:-o, :, NEIGHBOURS + o] = forward[:-o]
        agreement[o:, :, NEIGHBOURS - o] = forward[:-o].swapaxes(1, 2)
    padded = np.zeros((F + 2 * NEIGHBOURS, J, J))
    soft = padded[NEIGHBOURS:-NEIGHBOURS]
    soft[:] = (0.0 if costs else 0.1) * np.eye(J)  # with costs, they decide first
    around = sliding_window_view(padded.reshape(-1, J), (2 * NEIGHBOURS + 1) * J, axis=0)[::J].swapaxes(1, 2)  # a view
    for _ in range(MEAN_FIELD_STEPS):
        met = agreement.reshape(F, J, -1) @ around
        score = np.einsum("pij,fij->fp", matrices, met - own)
        q = np.exp(score - score.max(1, keepdims=True))
        soft[:] = np.einsum("fp,pij->fij", q / q.sum(1, keepdims=True), matrices)
    best = orders[score.argmax(1)]  # (F, J)
    return np.take_along_axis(Y, best.T[:, :, None], axis=0)


def activity_correlation(Y: Array) -> Array:
    """(NEIGHBOURS, F, J, J) how alike output i at bin f and output j at bin f + o are active, for o = 1 … NEIGHBOURS.

    Activity is the share of an output in the unit powers, so that a loud and a quiet bin count alike; the correlations
    over time weigh exp(−o / 8).
    """
    P = unit_power(Y)
    share = P / (P.sum(0) + TINY)
    share -= share.mean(2, keepdims=True)
    share /= np.sqrt((share**2).sum(2, keepdims=True)) + TINY
    S = np.ascontiguousarray(share.swapaxes(0, 1))  # (F, J, N)
    agreement = np.zeros((NEIGHBOURS, len(S), len(Y), len(Y)))
    for o in range(1, min(NEIGHBOURS, len(S) - 1) + 1):
        agreement[o - 1, :-o] = np.exp(-o / 8) * (S[:-o] @ S[o:].swapaxes(1, 2))
    return agreement


def delay_cost(X: Array, Y: Array) -> Array:
    """(F, J, J) minus the cosine between the phase of output i's path and that of source j's delay.

    A path is the relative transfer function of the last microphone to the first. The delays are those that fit all bins
    best, whatever the orders of the outputs Y (J, F, N) of X (I, F, N).
    """
    J, F, _ = Y.shape
    phase = relative_phases(X, Y)[:, -1]
    delay = np.arange(-MAX_DELAY, MAX_DELAY + DELAY_STEP / 2, DELAY_STEP)
    steering = np.exp(-1j * np.pi / max(F - 1, 1) * np.outer(np.arange(F), delay))
    fit = np.einsum("fi,fd->fid", phase.conj().astype(np.complex64), steering.astype(np.complex64)).real
    score = fit.sum((0, 1))
    best: list[int] = []
    while len(best) < CANDIDATES:
        best.append(int(score.argmax()))
        score[np.abs(delay - delay[best[-1]]) <= DELAY_STEP] = -np.inf
    fit = fit[:, :, best]
    orders = np.array(list(itertools.permutations(range(J))))

    def total(sources: tuple[int, ...]) -> float:
        return float(np.max([sum(fit[:, i, sources[j]] for i, j in enumerate(p)) for p in orders], axis=0).sum())

    chosen = max(itertools.combinations(range(CANDIDATES), J), key=total)
    return -fit[:, :, list(chosen)].astype(float)


def rtf_cost(X: Array, Y: Array) -> Array:
    """(F, J, J) minus the cosine between the phases of output i's path and those of source j's path.

    The path of a source is its relative impulse response, from the outputs Y (J, F, N) of X (I, F, N) in their present
    order; its TAPS largest samples are kept.
    """
    F = Y.shape[1]
    phase = relative_phases(X, Y)
    h = np.fft.irfft(phase, max(2 * (F - 1), 1), axis=0)
    lag = np.minimum(np.arange(len(h)), len(h) - np.arange(len(h)))
    h[lag > 2 * MAX_DELAY] = 0
    kept = min(TAPS, len(h))
    h[np.abs(h) < np.sort(np.abs(h), axis=0)[-kept]] = 0
    path = np.fft.rfft(h, axis=0)
    return -np.einsum("fci,fcj->fij", phase.conj(), path).real / phase.shape[1]


def relative_phases(X: Array, Y: Array) -> Array:
    """(F, I − 1, J) relative transfer functions of the other microphones to the first, their moduli left out."""
    A = mixing(X, Y)
    phase = A[:, 1:] * A[:, :1].conj()
    return phase / (np.abs(phase) + TINY)


def activation_cost(Y: Array, n_components: int, rng: np.random.Generator) -> Array:
    """(F, J, J) Itakura–Saito cost of explaining output i in a bin by the activations of source j.

    The activations H_j are those of an NMF of output j over all bins, where the few bins in the wrong order hardly
    count. Each bin is then explained by them with weights of its own.
    """
    P = (unit_power(Y) + VARIANCE_FLOOR).astype(np.float32)
    J, F, N = P.shape
    cost = np.empty((F, J, J))
    for j in range(J):
        W = rng.uniform(0.5, 1, (F, n_components)).astype(np.float32)
        H = rng.uniform(0.5, 1, (n_components, N)).astype(np.float32)
        for _ in range(40):
            W *= _gradient_ratio(P[j], W, H)
            H *= _gradient_ratio(P[j].T, H.T, W.T).T
        H /= H.mean(1, keepdims=True)
        for i in range(J):
            W = np.full((F, n_components), 1 / n_components, np.float32)
            for _ in range(25):
                W *= _gradient_ratio(P[i], W, H)
            V = W @ H
            cost[:, i, j] = (P[i] / V + np.log(V)).sum(1)
    return ACTIVATION_WEIGHT * cost


def _gradient_ratio(V: Array, W: Array, H: Array) -> Array:
    """Square root of the ratio of the two parts of the gradient in W of d_IS(V | W H). Févotte & Idier 2011."""
    inverse = 1 / (W @ H)
    return np.sqrt(((V * inverse**2) @ H.T) / (inverse @ H.T))
