"""Full-rank multichannel NMF: the likelihood never falls, closed forms equal general ones, more bins take part."""

from __future__ import annotations

import numpy as np
import pytest

from nmflib import _arrays, nmf
from nmflib._hermitian import geometric_mean, pack_outer, unpack
from nmflib.blind import full_rank
from nmflib.blind.full_rank import (
    activations,
    extend,
    fit,
    full_rank_mnmf,
    geometric_mean_two,
    invert_two,
    least_noise,
    update_H,
    update_R,
    update_W,
    wiener_images,
)
from nmflib.blind.underdetermined import masked_covariances


def mixture(seed, n_channels, n_sources, n_freq=20, n_frames=60):
    """Images (J, I, F, N) drawn from the model, and the true W (J, F, K), H (J, K, N), R (J, F, I, I)."""
    rng = np.random.default_rng(seed)
    W, H = rng.gamma(0.5, size=(n_sources, n_freq, 3)), rng.gamma(0.5, size=(n_sources, 3, n_frames))
    shape = (n_sources, n_freq, n_channels, n_channels)
    root = 0.2 * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    root[..., 0] += rng.standard_normal(shape[:-1]) + 1j * rng.standard_normal(shape[:-1])
    z = rng.standard_normal((2, n_sources, n_freq, n_channels, n_frames))
    images = (root @ (z[0] + 1j * z[1])).swapaxes(1, 2) * np.sqrt((W @ H)[:, None] / 2)
    return images, W, H, root @ root.conj().swapaxes(2, 3)


def minus_log_likelihood(X, model):
    """Σ log det Σ + xᴴ Σ⁻¹ x, bin by bin and frame by frame as matrices."""
    P = model.W @ model.H
    Sigma = np.einsum("jfn,jfik->fnik", P, model.R) + model.noise[:, None, None, None] * np.eye(len(X))
    x = np.moveaxis(X, 0, 2)
    y = np.linalg.solve(Sigma, x[..., None])[..., 0]
    return float((np.linalg.slogdet(Sigma)[1] + (x.conj() * y).sum(-1).real).sum())


@pytest.mark.parametrize(("n_channels", "n_sources"), [(2, 2), (2, 3), (3, 3)])
def test_no_update_raises_the_cost(n_channels, n_sources):
    images, *_ = mixture(0, n_channels, n_sources)
    X = images.sum(0)
    masks = np.full((n_sources, *X.shape[1:]), 1 / n_sources)
    model = fit(
        X,
        masks * (np.abs(X) ** 2).mean(0),
        masked_covariances(X, masks * np.arange(1, n_sources + 1)[:, None, None]),
        3,
        0,
    )
    costs = [minus_log_likelihood(X, model)]
    for _ in range(8):
        for update in (update_W, update_H, update_R):
            model = update(X, model)
            costs.append(minus_log_likelihood(X, model))
    assert (np.diff(costs) <= 1e-9 * np.abs(costs[0])).all() and costs[-1] < costs[0]


def test_without_the_exponent_the_cost_falls_faster():
    images, *_ = mixture(0, 2, 3)
    X = images.sum(0)
    masks = np.random.default_rng(0).uniform(0.5, 1, (3, *X.shape[1:]))
    masks /= masks.sum(0)

    def cost(n_iter, exponent):
        return minus_log_likelihood(X, full_rank_mnmf(X, masks, n_iter, exponent=exponent))

    start = cost(0, 0.5)
    assert start - cost(20, 1.0) > 1.4 * (start - cost(20, 0.5)) > 0


def test_with_one_channel_the_rules_are_those_of_nmf():
    """R = 1: Itakura–Saito NMF with the exponent γ = 1/2."""
    rng = np.random.default_rng(0)
    V, W, H = rng.gamma(1, size=(8, 12)), rng.uniform(0.5, 1, (8, 3)), rng.uniform(0.5, 1, (3, 12))
    X = np.sqrt(V)[None] + 0j
    model = full_rank.Model(W[None], H[None], np.ones((1, 8, 1, 1)), np.zeros(8))
    found, expected = update_H(X, update_W(X, model)), nmf(V, 3, beta=0, n_iter=1, init=(W, H))
    np.testing.assert_allclose(found.W[0], expected.W, rtol=1e-9)
    np.testing.assert_allclose(found.H[0], expected.H, rtol=1e-9)


def test_the_inverse_of_a_singular_matrix_is_that_of_one_with_the_least_eigenvalue():
    S = pack_outer(np.array([[[1.0], [1.0]]]))  # eigenvalues 2 and 0
    inverse = unpack(invert_two(S, np.array([[1e-10]])).swapaxes(1, 2), 2)[0, 0]
    np.testing.assert_allclose(1e-10 * inverse, [[1, -1], [-1, 1]], rtol=1e-5)


def test_a_matrix_that_rounding_made_indefinite_has_the_inverse_of_a_positive_one():
    """In single precision, 1 + 1e-9 is 1: the determinant cannot be known, and is taken as positive."""
    S = pack_outer(np.array([[[1.0], [1.0 + 1e-9]]])).astype(np.float32)
    inverse = unpack(invert_two(S, np.array([[1e-20]], np.float32)).swapaxes(1, 2), 2)[0, 0]
    assert np.isfinite(inverse).all() and np.linalg.eigvalsh(inverse)[1] < 1e7


def test_single_precision_is_enough_for_two_channels(monkeypatch):
    images, *_ = mixture(1, 2, 3)
    masks = (np.abs(images) ** 2).mean(1)
    masks /= masks.sum(0)
    X = images.sum(0)
    single = full_rank_mnmf(X, masks).images(X)
    monkeypatch.setattr(full_rank, "PRECISION", {})
    double = full_rank_mnmf(X, masks).images(X)
    assert 1e-9 < np.linalg.norm(single - double) / np.linalg.norm(double) < 1e-4  # 80 dB below the images


def test_the_chunks_do_not_matter(monkeypatch):
    images, *_ = mixture(1, 2, 3)
    masks = (np.abs(images) ** 2).mean(1)
    masks /= masks.sum(0)
    X = images.sum(0)
    whole = full_rank_mnmf(X, masks, 3).images(X)
    monkeypatch.setattr(_arrays, "CHUNK", 200)
    assert np.allclose(whole, full_rank_mnmf(X, masks, 3).images(X))


def test_two_by_two_closed_forms_equal_the_general_ones():
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((2, 5, 7, 2, 4)) + 1j * rng.standard_normal((2, 5, 7, 2, 4))
    A, B = Z @ Z.conj().swapaxes(-1, -2)
    assert np.allclose(geometric_mean_two(A, B), geometric_mean(A, B))
    v = Z[0, ..., :1]
    singular = v @ v.conj().swapaxes(-1, -2)
    mean = geometric_mean_two(A, singular)
    assert np.allclose(mean @ np.linalg.solve(A, mean), singular, atol=1e-6)
    outer = pack_outer(Z[0, 0, :, :, :3]) + np.array([1.0, 1, 0, 0])[:, None]
    inverse = unpack(invert_two(outer, np.full((7, 1), 1e-9)).swapaxes(1, 2), 2)
    assert np.allclose(inverse @ unpack(outer.swapaxes(1, 2), 2), np.eye(2))


@pytest.mark.parametrize("n_channels", [2, 3])
def test_images_sum_to_the_mixture_but_for_the_noise(n_channels):
    images, W, H, R = mixture(3, n_channels, n_channels)
    X = images.sum(0)
    estimates = wiener_images(X, W @ H, R, least_noise(X))
    assert np.abs(estimates.sum(0) - X).max() < 1e-3 * np.abs(X).max()


def error(images, estimates):
    return 10 * np.log10((np.abs(images) ** 2).sum() / (np.abs(images - estimates) ** 2).sum())


def test_full_rank_betters_rough_masks(monkeypatch):
    monkeypatch.setattr(full_rank, "COMPONENTS", 3)
    images, *_ = mixture(4, 2, 2, 40, 200)
    X, power = images.sum(0), (np.abs(images) ** 2).mean(1)
    masks = np.sqrt(power) / np.sqrt(power).sum(0)
    assert error(images, full_rank_mnmf(X, masks).images(X)) > error(images, masks[:, None] * X) + 2


def test_other_frames_and_other_bins_follow_from_what_was_learnt():
    images, W, H, R = mixture(5, 2, 2, 40, 120)
    X = images.sum(0)
    model = full_rank.Model(W, H, R, least_noise(X))
    np.testing.assert_array_equal(model.images(X), wiener_images(X, W @ H, R, least_noise(X)))
    found = activations(X, model, 30)
    best = error(images, wiener_images(X, W @ H, R, model.noise))
    assert error(images, wiener_images(X, W @ found, R, model.noise)) > best - 1.5
    above = extend(X[:, 30:], H)
    costs = [minus_log_likelihood(X[:, 30:], extend(X[:, 30:], H, n_iter)) for n_iter in (0, 3)]
    assert minus_log_likelihood(X[:, 30:], above) < costs[1] < costs[0]
    estimates = wiener_images(X[:, 30:], above.W @ H, above.R, above.noise)
    assert error(images[:, :, 30:], estimates) > error(images[:, :, 30:], X[:, 30:] / 2) + 5


@pytest.mark.parametrize("case", ["rank one", "silent bins", "silent source", "loud and faint"])
def test_degenerate_mixtures_stay_finite(case, monkeypatch):
    monkeypatch.setattr(full_rank, "COMPONENTS", 3)
    images, *_ = mixture(6, 2, 2)
    X = images.sum(0)
    masks = np.full((2, *X.shape[1:]), 0.5)
    if case == "rank one":
        X = np.stack([X[0], X[0]])
    if case == "silent bins":
        X[:, :5] = 0
    if case == "silent source":
        masks = np.stack([0 * masks[0], np.ones_like(masks[0])])
    if case == "loud and faint":
        X = X * np.logspace(-6, 6, X.shape[2])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(full_rank_mnmf(X, masks, 60).images(X)).all()
