"""Masks and grouping: the parts always sum to the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmflib import STFT, nmf
from nmflib.course.grouping import group_blind, group_oracle, nmf_sources
from nmflib.course.scenes import sine_mixture
from nmflib.metrics import sdr
from nmflib.separate import group, wiener, with_phase_of

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 5)) + 1j * rng.standard_normal((3, 5))


@settings(deadline=None)
@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 999),
    level=st.sampled_from([0, 1e-300, 1e-8, 1, 1e8, 1e300]),
    channels=st.integers(0, 3),
)
def test_wiener_parts_sum_to_the_mixture(n, seed, level, channels):
    rng = np.random.default_rng(seed)
    shape = (channels, 3, 5) if channels else (3, 5)
    X = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    powers = level * rng.random((n, 3, 5))
    powers[:, rng.random((3, 5)) < 0.3] = 0
    parts = wiener(X, powers)
    assert parts.shape == (n, *shape)
    np.testing.assert_allclose(parts.sum(axis=0), X, rtol=1e-12)
    silent = ~powers.any(axis=0)
    np.testing.assert_allclose(parts[..., silent], np.broadcast_to(X[..., silent] / n, parts[..., silent].shape))


def test_wiener_shares_are_the_power_ratios():
    powers = rng.random((2, 3, 5))
    np.testing.assert_allclose(wiener(X, powers)[0], powers[0] / powers.sum(axis=0) * X)
    stereo = rng.random((2, 4, 3, 5))
    X4 = np.stack([X] * 4)
    np.testing.assert_allclose(wiener(X4, stereo)[1], stereo[1] / stereo.sum(axis=0) * X4)


def test_wiener_is_the_posterior_mean_of_the_gaussian_model():
    """c ~ N_c(0, p) for each part, x = Σ c: E[c | x] by ordinary Gaussian conditioning."""
    p, x = rng.random((3, 1, 1)), X[:1, :1]
    covariance, cross = p.sum(), p.ravel()
    np.testing.assert_allclose(wiener(x, p).ravel(), cross / covariance * x.item())


def test_parts_are_heard_to_sum_to_the_mixture():
    stft, x = STFT(64), rng.standard_normal(700)
    S = stft(x)
    model = nmf(np.abs(S), 3, n_iter=10)
    np.testing.assert_allclose(model.components().sum(axis=0), model.W @ model.H, rtol=1e-12)
    np.testing.assert_allclose(model.images(S), wiener(S, model.components()))
    np.testing.assert_allclose(stft.inverse(wiener(S, model.components()), 700).sum(axis=0), x, atol=1e-12)


def test_with_phase_of_keeps_magnitude_and_phase():
    magnitudes = rng.random((2, 3, 5))
    Y = with_phase_of(X, magnitudes)
    np.testing.assert_allclose(np.abs(Y), magnitudes)
    np.testing.assert_allclose(np.angle(Y[0]), np.angle(X))
    assert np.isfinite(with_phase_of(np.zeros((3, 5)), magnitudes)).all()


def test_group_sums_all_parts_once():
    parts = rng.random((5, 2, 3))
    grouped = group(parts, [0, 2, 2, 0, 0], 3)
    np.testing.assert_allclose(grouped.sum(axis=0), parts.sum(axis=0))
    np.testing.assert_allclose(grouped[2], parts[1] + parts[2])
    assert not grouped[1].any()


@pytest.fixture(scope="module")
def two_blocks():
    """Two sources that never share a bin or a frame, three components each."""
    W, H = np.zeros((20, 6)), np.zeros((6, 40))
    W[:10, :3], W[10:, 3:] = rng.random((10, 3)), rng.random((10, 3))
    H[:3, :20], H[3:, 20:] = rng.random((3, 20)) + 0.5, rng.random((3, 20)) + 0.5
    references = np.stack([W[:, :3] @ H[:3], W[:, 3:] @ H[3:]])
    return nmf(W @ H, 6, init=(W, H), n_iter=0), references


def test_grouping_finds_sources_that_do_not_overlap(two_blocks):
    model, references = two_blocks
    assert group_oracle(model, references).tolist() == [0, 0, 0, 1, 1, 1]
    for by in ("activations", "spectra"):
        labels = group_blind(model, by=by)
        assert len(set(labels[:3])) == len(set(labels[3:])) == 1 and labels[0] != labels[3]


def test_nmf_sources_separates_the_sines_and_keeps_the_cheapest_start():
    references, mixture = sine_mixture(duration=4)
    stft = STFT(512)
    masked, model = nmf_sources(mixture, references, stft, seeds=(0, 1))
    assert np.allclose(masked.sum(axis=0), mixture, atol=1e-12)
    assert min(sdr(s, e) for s, e in zip(references, masked, strict=True)) > 20
    alone = [nmf_sources(mixture, references, stft, seeds=(seed,))[1].cost[-1] for seed in (0, 1)]
    assert model.cost[-1] == min(alone)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: wiener(X, -np.ones((2, 3, 5))), "powers has 30 negative"),
        (lambda: wiener(X, np.full((2, 3, 5), np.nan)), "powers has 30 NaN"),
        (lambda: wiener(X, np.ones((2, 3, 4))), "powers has shape"),
        (lambda: wiener(X, np.ones((0, 3, 5))), "powers is empty"),
        (lambda: wiener(X[0], np.ones((2, 5))), "X has shape"),
        (lambda: group(np.ones((3, 2)), [0, 1], 2), "labels has shape"),
        (lambda: group(np.ones((2, 2)), [0, 2], 2), "labels are"),
        (lambda: group_blind(nmf(np.ones((3, 3)), 2, n_iter=1), by="colour"), "by is 'colour'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("level", [1e-310, 1e-150, 1e-30, 1e300])
def test_masks_and_phases_of_any_level(level):
    weak = level * X / np.abs(X).max()
    np.testing.assert_allclose(wiener(weak, np.abs([weak, weak])).sum(axis=0), weak, rtol=1e-9)
    np.testing.assert_allclose(np.abs(with_phase_of(weak, np.ones(X.shape))), 1, rtol=1e-6)
