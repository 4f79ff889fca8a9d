"""Packed Hermitian matrices: inverses, means and eigenvectors, also where a matrix is nearly singular."""

import numpy as np
import pytest

from nmflib._hermitian import generalised_eigenvectors, geometric_mean, invert, pack, pack_outer, unpack


def positive(shape, seed=0):
    rng = np.random.default_rng(seed)
    B = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return B @ B.conj().swapaxes(-1, -2)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_inverses_and_determinants(n):
    S = positive((5, 7, n, n))
    packed = pack({(i, k): S[..., i, k] if i != k else S[..., i, i].real for i in range(n) for k in range(i, n)}, n)
    inverse, pivots = invert(packed, np.full((5, n), 1e-9))
    np.testing.assert_allclose(unpack(pack(inverse, n).swapaxes(1, 2), n), np.linalg.inv(S), rtol=1e-6)
    np.testing.assert_allclose(np.log(pivots).sum(axis=0), np.linalg.slogdet(S)[1], rtol=1e-9, atol=1e-9)


def test_no_pivot_sinks_below_its_floor_when_two_channels_are_alike():
    """aaᴴ + σ² 1 with σ² below the rounding of aaᴴ: the variance of the second channel given the first cancels."""
    S = pack_outer(np.array([[[1.0], [0.7j]]]))
    inverse, pivots = invert(S, np.full((1, 2), 1e-20))
    assert pivots[1, 0, 0] == 1e-20
    assert np.isfinite(inverse[1, 1]).all()


def test_geometric_mean_solves_its_equation():
    U, V = positive((2, 5, 3, 3))
    G = geometric_mean(U, V)
    assert np.allclose(G @ np.linalg.solve(U, G), V)
    assert np.allclose(G, geometric_mean(V, U))


def test_eigenvectors_solve_the_generalised_problem():
    U, V = positive((2, 7, 2, 2))
    values = []
    for w, metric in zip(generalised_eigenvectors(U, V), (U, V), strict=True):
        Uw, Vw = np.einsum("fij,fj->fi", U, w), np.einsum("fij,fj->fi", V, w)
        values.append((Uw / Vw).real[:, 0])
        assert np.allclose(Uw, values[-1][:, None] * Vw)
        assert np.allclose(np.einsum("fi,fij,fj->f", w.conj(), metric, w), 1)
    assert (values[0] > values[1]).all()


def test_eigenvectors_of_two_equal_matrices_are_a_basis():
    """Every direction solves U w = λ V w then; two different ones are wanted."""
    V = np.broadcast_to(np.eye(2, dtype=complex), (3, 2, 2))
    w = np.stack(generalised_eigenvectors(2 * V, V))
    np.testing.assert_allclose(np.abs(w), np.broadcast_to(np.diag([np.sqrt(0.5), 1])[:, None], (2, 3, 2)))
