"""ILRMA: the likelihood, its descent, separation of what can be separated, invariances, robustness."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nmflib import ilrma
from nmflib.mnmf import MNMFInit, initialise, mnmf_em


def low_rank_mixture(n_sources=2, n_freq=20, n_frames=200, seed=0):
    """Images (n_sources, n_channels, n_freq, n_frames) of Gaussian sources with rank-2 powers, and A."""
    rng = np.random.default_rng(seed)
    W, H = rng.gamma(0.3, 1, (n_sources, n_freq, 2)) + 1e-3, rng.gamma(0.3, 1, (n_sources, 2, n_frames)) + 1e-3
    z = rng.standard_normal((2, n_sources, n_freq, n_frames))
    S = np.sqrt(W @ H / 2) * (z[0] + 1j * z[1])
    A = rng.standard_normal((2, n_freq, n_sources, n_sources))
    A = A[0] + 1j * A[1]
    images = A.transpose(2, 1, 0)[..., np.newaxis] * S[:, np.newaxis]
    return images, A


def power_models(model, n_sources, K):
    return np.stack([model.W[:, j * K : (j + 1) * K] @ model.H[j * K : (j + 1) * K] for j in range(n_sources)])


@pytest.mark.parametrize("n_channels", [2, 3])
def test_cost_is_the_exact_likelihood(scene, n_channels):
    """x = D⁻¹ y is Gaussian of covariance D⁻¹ R D⁻ᴴ; the density is scipy's, of the real and imaginary parts."""
    X = scene(n_channels, 4, 12)
    model = ilrma(X, 2, n_iter=3)
    R = power_models(model, n_channels, 2)
    expected = 0.0
    for f in range(4):
        A = np.linalg.inv(model.demixing[f])
        for n in range(12):
            Sigma = A @ np.diag(R[:, f, n]) @ A.conj().T
            covariance = np.block([[Sigma.real, -Sigma.imag], [Sigma.imag, Sigma.real]]) / 2
            x = X[:, f, n]
            expected -= multivariate_normal(cov=covariance).logpdf(np.concatenate([x.real, x.imag]))
    assert model.cost[-1] == pytest.approx(expected, rel=1e-8, abs=1e-8 * X.size)


def test_cost_is_that_of_noiseless_em(scene):
    """The same model written with A instead of D: EM's cost with hardly any noise."""
    X = scene(2)
    model = ilrma(X, 2, n_iter=5)
    init = MNMFInit(A=np.linalg.inv(model.demixing), W=model.W, H=model.H, noise=np.full(6, 1e-12))
    em = mnmf_em(X, 2, 2, noise="fixed", n_iter=0, init=init)
    assert model.cost[-1] == pytest.approx(em.cost[0], rel=1e-5)


@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_cost_never_increases(scene, n_channels):
    for seed in range(4):
        cost = ilrma(scene(n_channels, 6, 30, seed=seed), 2, n_iter=60, rng=seed).cost
        assert (np.diff(cost) <= 1e-10 * np.abs(cost).max()).all()
        assert cost[-1] < cost[0]


@pytest.mark.parametrize("n_sources", [2, 3])
def test_separates_sources_that_fit_the_model(n_sources):
    """From near the truth (the order of the sources is then known) the images come back; from D = I they do not."""
    images, A = low_rank_mixture(n_sources)
    X = images.sum(axis=0)
    rng = np.random.default_rng(1)
    near = np.linalg.inv(A) + 0.1 * rng.standard_normal(A.shape)
    model = ilrma(X, 2, n_iter=100, init=near)

    def error_db(estimate):
        return 10 * np.log10((np.abs(estimate - images) ** 2).sum() / (np.abs(images) ** 2).sum())

    assert error_db(model.images(X)) < -25
    assert error_db(model.images(X)) < error_db(ilrma(X, 2, n_iter=0, init=near).images(X)) - 10


@pytest.mark.parametrize("n_channels", [2, 3])
def test_images_sum_to_the_mixture(scene, n_channels):
    X = scene(n_channels)
    model = ilrma(X, [1] * n_channels, n_iter=20)
    assert model.images(X).shape == (n_channels, *X.shape)
    np.testing.assert_allclose(model.images(X).sum(axis=0), X, atol=1e-12 * np.abs(X).max())


def test_starts_from_a_model_and_from_demixing_matrices():
    images, A = low_rank_mixture()
    X = images.sum(axis=0)
    start = initialise(X, 2, 2, "oracle", images=images)
    model = ilrma(X, 2, n_iter=0, init=start)
    np.testing.assert_allclose(model.demixing @ start.A, np.broadcast_to(np.eye(2), A.shape), atol=1e-9)
    np.testing.assert_allclose(power_models(model, 2, 2), power_models(start, 2, 2))
    assert np.array_equal(ilrma(X, 2, n_iter=0, init=np.linalg.inv(A)).demixing, np.linalg.inv(A))
    em = mnmf_em(X, 2, 2, n_iter=2, init=start)
    assert ilrma(X, 2, n_iter=3, init=em).cost.shape == (4,)


def test_swapping_the_channels_with_the_start_swaps_the_images(scene):
    X = scene(2)
    start = initialise(X, 2, 2, method="random")
    swapped = MNMFInit(A=start.A[:, ::-1], Q=start.Q[:, ::-1], W=start.W, H=start.H)
    model, other = ilrma(X, 2, n_iter=20, init=start), ilrma(X[::-1], 2, n_iter=20, init=swapped)
    np.testing.assert_allclose(other.cost, model.cost, rtol=1e-9)
    np.testing.assert_allclose(other.images(X[::-1]), model.images(X)[:, ::-1], rtol=1e-6, atol=1e-9)


def test_callback_sees_every_iteration(scene):
    seen = []
    model = ilrma(scene(2), 2, n_iter=4, callback=lambda t, model: seen.append((t, model.cost)))
    assert [t for t, _ in seen] == [1, 2, 3, 4]
    assert np.array_equal(seen[-1][1], model.cost)


@pytest.mark.filterwarnings("error")
def test_awkward_data_give_finite_results_without_warnings(awkward):
    X = awkward if len(awkward) > 1 else awkward.repeat(2, axis=0)
    model = ilrma(X, 2, n_iter=100)
    for value in (model.demixing, model.W, model.H, model.cost, model.images(X)):
        assert np.isfinite(value).all()
    np.testing.assert_allclose(model.images(X).sum(axis=0), X, atol=1e-6 * np.abs(X).max())
    assert (np.diff(model.cost) <= 1e-6 * np.abs(model.cost).max()).all()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("^X has 1 channel; ILRMA needs at least 2", lambda X: ilrma(X[:1], 2)),
        (r"^X has shape \(6, 15\); it must have 3 dimensions", lambda X: ilrma(X[0], 2)),
        ("^n_components is 0", lambda X: ilrma(X, 0)),
        ("^n_iter is 2.5", lambda X: ilrma(X, 2, n_iter=2.5)),
        (
            r"^init has shape \(6, 3, 3\); demixing matrices are \(6, 2, 2\)",
            lambda X: ilrma(X, 2, init=np.ones((6, 3, 3))),
        ),
        ("^init has rows from .* to 1.0e\\+120; ", lambda X: ilrma(X, 2, init=np.full((6, 2, 2), 1e120))),
        ("^init has rows from 1.0e-100 ", lambda X: ilrma(X, 2, init=np.full((6, 2, 2), 1e-100))),
        ("^init is singular in some bins", lambda X: ilrma(X, 2, init=np.ones((6, 2, 2)))),
        (
            "^init.A is singular in some bins",
            lambda X: ilrma(X, 1, init=MNMFInit(A=np.ones((6, 2, 2)), W=np.ones((6, 2)), H=np.ones((2, 15)))),
        ),
        (r"^init.W has shape \(6, 6\); it must be \(6, 4\)", lambda X: ilrma(X, 2, init=initialise(X, 2, 3, "random"))),
        (r"^X has shape .* was fitted to \(2, 6, n_frames\)", lambda X: ilrma(X, 2, n_iter=1).images(X[:, 1:])),
    ],
)
def test_bad_input_is_named(scene, message, call):
    with pytest.raises(ValueError, match=message):
        call(scene(2))


def test_the_scale_of_the_initial_demixing_does_not_matter(scene):
    X, rng = scene(2), np.random.default_rng(0)
    D = rng.standard_normal((X.shape[1], 2, 2)) + 1j * rng.standard_normal((X.shape[1], 2, 2))
    one, other = (ilrma(X, 2, n_iter=5, init=scale * D) for scale in (1, 1024))
    np.testing.assert_allclose(one.cost, other.cost, rtol=1e-9)
    np.testing.assert_allclose(one.images(X), other.images(X), rtol=1e-6)
