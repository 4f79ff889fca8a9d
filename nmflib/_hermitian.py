"""Hermitian matrices of all bins and frames, stored as real planes, so that no function loops over bins.

>>> import numpy as np
>>> A = np.array([[[1.0], [2j]]])  # one bin, two channels, one source
>>> unpack(pack_outer(A).swapaxes(1, 2), 2)[0, 0]  # a aᴴ
array([[1.+0.j, 0.-2.j],
       [0.+2.j, 4.+0.j]])
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from nmflib._check import Array

TINY = 1e-30

Planes = dict[tuple[int, int], Array]  # S[i, k], i <= k, of shape (f, N); real when i = k


def entry(S: Planes, i: int, k: int) -> Array:
    """S_ik of a Hermitian matrix of which the upper triangle is stored."""
    return S[i, k] if i <= k else S[k, i].conj()


def invert(S: Array, floor: Array) -> tuple[Planes, Array]:
    """Inverses of Hermitian positive matrices by bordering: from B = S⁻¹ of some channels to that of one more.

        u = B c,  pivot = s − cᴴ u,      [S  c; cᴴ s]⁻¹ = [B + u uᴴ / pivot,  −u / pivot;  −uᴴ / pivot,  1 / pivot]

    S : (f, I², N) packed; floor : (f, I) the least pivots. Returns S⁻¹ and the pivots (I, f, N).
    """
    f, n_channels, n_frames = S.shape[0], floor.shape[1], S.shape[2]
    entries = planes(S, n_channels)
    B: Planes = {}
    pivots = np.empty((n_channels, f, n_frames))
    for k in range(n_channels):
        c = [entries[i, k] for i in range(k)]
        u = [sum(entry(B, i, m) * c[m] for m in range(k)) for i in range(k)]
        pivots[k] = entries[k, k]
        for c_i, u_i in zip(c, u, strict=True):
            pivots[k] -= c_i.real * u_i.real + c_i.imag * u_i.imag
        np.maximum(pivots[k], floor[:, k, np.newaxis], out=pivots[k])
        B[k, k] = 1 / pivots[k]
        for i in range(k):
            u_pivot = u[i] * B[k, k]
            B[i, k] = -u_pivot
            B[i, i] = B[i, i] + u_pivot.real * u[i].real + u_pivot.imag * u[i].imag
            for m in range(i + 1, k):
                B[i, m] = B[i, m] + u_pivot * np.conj(u[m])
    return B, pivots


@cache
def pairs(n_channels: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The i and the k of all pairs of channels i < k."""
    rows, columns = np.triu_indices(n_channels, 1)
    return rows, columns


def planes(S: Array, n_channels: int) -> Planes:
    """The entries of packed Hermitian matrices (f, I², N)."""
    rows, columns = pairs(n_channels)
    n_pairs = len(rows)
    found: Planes = {(i, i): S[:, i] for i in range(n_channels)}
    for pair, (i, k) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        found[i, k] = upper = np.empty_like(S[:, 0], complex)
        upper.real, upper.imag = S[:, n_channels + pair], S[:, n_channels + n_pairs + pair]
    return found


def pack(S: Planes, n_channels: int) -> Array:
    """Hermitian matrices as I² real rows (f, I², N): the diagonal, then real and imaginary parts of S_ik, i < k."""
    upper = [(i, k) for i in range(n_channels) for k in range(i + 1, n_channels)]
    rows = [S[i, i] for i in range(n_channels)] + [S[ik].real for ik in upper] + [S[ik].imag for ik in upper]
    return np.stack(rows, axis=1)


def pack_outer(A: Array) -> Array:
    """a_j a_jᴴ of every source, packed: A (f, I, J) -> (f, I², J)."""
    rows, columns = pairs(A.shape[1])
    cross = A[:, rows] * A[:, columns].conj()
    return np.concatenate([A.real**2 + A.imag**2, cross.real, cross.imag], axis=1)


def unpack(S: Array, n_channels: int) -> Array:
    """Packed Hermitian matrices (..., I²) -> (..., I, I)."""
    rows, columns = pairs(n_channels)
    n_pairs = len(rows)
    full = np.zeros((*S.shape[:-1], n_channels, n_channels), complex)
    full[..., rows, columns] = S[..., n_channels : n_channels + n_pairs] + 1j * S[..., n_channels + n_pairs :]
    full += full.conj().swapaxes(-1, -2)
    full[..., range(n_channels), range(n_channels)] = S[..., :n_channels]
    return full


def pack_matrices(R: Array) -> Array:
    """Hermitian (J, F, I, I) as I² real rows (F, I², J), in the order of `pack`."""
    n = R.shape[-1]
    return pack({(i, k): R[..., i, k].T if i != k else R[..., i, i].real.T for i in range(n) for k in range(i, n)}, n)


def geometric_mean(A: Array, B: Array) -> Array:
    """A^½ (A^−½ B A^−½)^½ A^½ of Hermitian matrices (..., I, I), A positive, B >= 0."""

    def powers(M: Array, *exponents: float) -> list[Array]:
        values, U = np.linalg.eigh((M + M.conj().swapaxes(-1, -2)) / 2)
        values = np.maximum(values, TINY)[..., None, :]
        return [(U * values**exponent) @ U.conj().swapaxes(-1, -2) for exponent in exponents]

    half, inverse_half = powers(A, 0.5, -0.5)
    return half @ powers(inverse_half @ B @ inverse_half, 0.5)[0] @ half


def generalised_eigenvectors(U: Array, V: Array) -> tuple[Array, Array]:
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
