"""Panned mixtures: one real mixing for all bins is found, separates, and is told from a room."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from nmflib import initialise, separate_blind
from nmflib.blind.panned import (
    demix,
    images_from_variances,
    is_panned,
    panned_mixing,
    real_directions,
    real_share,
    variances,
)
from nmflib.experiments.panned import closest_basis_images

separate_panned = partial(separate_blind, mixing="instantaneous")


def sources(rng, n_sources, n_freq=129, n_frames=150, silent=0.6):
    """Complex Gaussian sources (J, F, N) that are silent in most bins."""
    S = rng.standard_normal((n_sources, n_freq, n_frames)) + 1j * rng.standard_normal((n_sources, n_freq, n_frames))
    loud = rng.exponential(size=S.shape) ** 2
    return S * loud * (rng.random(S.shape) > silent)


def columns(degrees):
    """A (2, J): unit columns at these angles."""
    return np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])


def images_of(A, S):
    return A.T[:, :, None, None] * S[:, None]


def closest(A, truth):
    """Degrees between every true column and the estimated one nearest to it."""
    cosine = np.abs(truth.T @ A).max(1) / np.linalg.norm(truth, axis=0)
    return np.rad2deg(np.arccos(np.minimum(cosine, 1)))


def sdr(references, estimates):
    """dB of each image, matched to the nearest estimate."""
    error = (np.abs(references[:, None] - estimates) ** 2).sum((2, 3, 4)).min(1)
    return 10 * np.log10((np.abs(references) ** 2).sum((1, 2, 3)) / (error + 1e-30))


def test_a_real_vector_times_a_complex_number_has_no_imaginary_part():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 1, 1))
    X = a * np.exp(1j * rng.uniform(0, 6, (1, 4, 5)))
    d, imaginary = real_directions(X)
    assert imaginary.max() < 1e-7
    assert np.allclose(np.abs((d * a).sum(0)), np.linalg.norm(a))
    _, imaginary = real_directions(np.array([1, 1j, 0])[:, None, None])  # a circle: as imaginary as can be
    assert np.isclose(imaginary, np.sqrt(0.5))


@pytest.mark.parametrize(
    "degrees", [[20.0, 31.0], [0.0, 90.0], [0.0, 45.0, 90.0], [-45.0, 45.0], [10.0, 35.0, 60.0, 88.0]]
)
def test_the_mixing_is_found_with_hard_panned_and_opposite_channels_too(degrees):
    A = columns(degrees)
    X = images_of(A, sources(np.random.default_rng(1), len(degrees), silent=0.8)).sum(0)
    assert closest(panned_mixing(X, len(degrees)), A).max() < 0.1


@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_as_many_sources_as_channels_are_separated_however_many(n_channels):
    rng = np.random.default_rng(n_channels)
    truth = images_of(rng.standard_normal((n_channels, n_channels)), sources(rng, n_channels))
    estimates = separate_panned(truth.sum(0), n_channels)
    assert sdr(truth, estimates).min() > 40
    assert np.allclose(estimates.sum(0), truth.sum(0))


def test_the_refinement_repairs_a_mixing_that_is_off():
    rng = np.random.default_rng(5)
    A = columns([20.0, 60.0])
    X = images_of(A, sources(rng, 2)).sum(0)
    W = demix(X, columns([23.0, 55.0]))
    leak = np.abs(W @ A)
    assert (np.sort(leak, axis=1)[:, 0] / np.sort(leak, axis=1)[:, 1]).max() < 1e-3


def test_lines_that_noise_blurs_are_refined():
    """Without the refinement they are up to 0.23 degrees off here."""
    A = columns([20.0, 50.0, 75.0])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = images_of(A, sources(rng, 3)).sum(0)
        noise = rng.standard_normal(X.shape) + 1j * rng.standard_normal(X.shape)
        X = X + 0.1 * np.sqrt((np.abs(X) ** 2).mean() / 2) * noise
        assert closest(panned_mixing(X, 3), A).max() < 0.17


def test_more_sources_than_channels_beat_the_closest_basis():
    """Spectra that recur: what the low-rank variances know and a bin alone does not."""
    rng = np.random.default_rng(2)
    W, H = rng.gamma(0.3, size=(3, 129, 4)), rng.gamma(0.2, size=(3, 4, 150))
    S = np.sqrt(W @ H / 2) * (rng.standard_normal((3, 129, 150)) + 1j * rng.standard_normal((3, 129, 150)))
    truth = images_of(columns([10.0, 40.0, 75.0]), S)
    X = truth.sum(0)
    estimates = separate_panned(X, 3)
    start = closest_basis_images(X, panned_mixing(X, 3))
    assert sdr(truth, estimates).mean() > sdr(truth, start).mean() + 3
    assert np.allclose(estimates.sum(0), X)
    assert np.array_equal(estimates, separate_panned(X, 3))


def test_the_learnt_prior_leaves_a_weak_source_out():
    """A weak source between two loud ones: without the prior it is called on for what the two explain."""
    rng = np.random.default_rng(3)
    S = sources(rng, 3, silent=0.3) * np.array([1.0, 0.03, 1.0])[:, None, None]
    A = columns([30.0, 50.0, 60.0])
    X = images_of(A, S).sum(0)
    excess = [variances(X, A, prior)[1].sum() for prior in (0.0, 0.7)]
    assert excess[1] < 0.5 * excess[0]


def test_models_with_the_learnt_prior_are_among_those_of_the_images(monkeypatch):
    """Here the images without it are 4 dB worse or more, for the weak source, too."""
    rng = np.random.default_rng(0)
    W, H = rng.gamma(0.3, size=(3, 129, 4)), rng.gamma(0.2, size=(3, 4, 150))
    S = np.sqrt(W @ H / 2) * (rng.standard_normal((3, 129, 150)) + 1j * rng.standard_normal((3, 129, 150)))
    A = columns([30.0, 50.0, 60.0])
    truth = images_of(A, S * np.array([1.0, 0.03, 1.0])[:, None, None])
    found = sdr(truth, images_from_variances(truth.sum(0), A))
    monkeypatch.setattr("nmflib.blind.panned.PRIORS", (0.0, 0.0))
    assert (found > sdr(truth, images_from_variances(truth.sum(0), A)) + 4).all()


def delayed(rng, spread, n_freq=129, n_frames=150):
    """Two sources at different delays, heard by two microphones with `spread` of reverberation."""
    S = sources(rng, 2, n_freq, n_frames)
    A = np.exp(-1j * np.pi / (n_freq - 1) * np.arange(n_freq)[:, None, None] * np.array([[0, 0], [2.0, -3.0]]))
    A = A + spread * (rng.standard_normal(A.shape) + 1j * rng.standard_normal(A.shape))
    return np.einsum("fij,jfn->ifn", A, S)


def test_panned_mixtures_are_told_from_rooms_and_from_noise():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = images_of(columns([15.0, 50.0]), sources(rng, 2)).sum(0)
        noise = rng.standard_normal(X.shape) + 1j * rng.standard_normal(X.shape)
        noise *= 0.1 * np.sqrt((np.abs(X) ** 2).mean() / (np.abs(noise) ** 2).mean())
        assert is_panned(X) and is_panned(X + noise)
        assert not is_panned(delayed(rng, 0.0)) and not is_panned(delayed(rng, 0.3)) and not is_panned(noise)
        assert real_share(X) > 2 * real_share(delayed(rng, 0.3))


def test_loud_low_frequencies_of_a_source_nearly_straight_ahead_are_not_taken_for_a_panned_mixture():
    """Its delay of 0.1 samples is not noticed there; the quieter frequencies tell."""
    rng = np.random.default_rng(0)
    S = sources(rng, 2) * np.where(np.arange(129) < 32, 30.0, 1.0)[:, None]
    A = np.exp(-1j * np.pi / 128 * np.arange(129)[:, None, None] * np.array([[0, 0], [0.1, -3.0]]))
    assert not is_panned(np.einsum("fij,jfn->ifn", A, S * np.array([1.0, 0.05])[:, None, None]))


def equal(X):
    return np.stack([X[0], X[0]])


def one_silent(X):
    return np.stack([X[0], 0 * X[0]])


def opposite(X):
    return np.stack([X[0], -X[0]])


def constant(X):
    return np.ones_like(X)


def one_frame(X):
    return X[:, :, :1]


def one_bin(X):
    return X[:, :1]


def nothing(X):
    return 0 * X


@pytest.mark.parametrize("case", [equal, one_silent, opposite, constant, one_frame, one_bin, nothing])
@pytest.mark.parametrize("n_sources", [2, 3])
def test_odd_mixtures_give_finite_images_that_sum_to_them(case, n_sources):
    rng = np.random.default_rng(0)
    X = case(images_of(columns([15.0, 50.0]), sources(rng, 2, 17, 12)).sum(0))
    before = X.copy()
    with np.errstate(all="raise", under="ignore"):
        images = separate_panned(X, n_sources)
    assert images.shape == (n_sources, *X.shape) and np.isfinite(images).all()
    assert np.allclose(images.sum(0), X) and np.array_equal(X, before)
    assert isinstance(is_panned(X), bool)


def test_a_model_with_one_mixing_for_all_bins_starts_from_the_lines():
    rng = np.random.default_rng(4)
    A = columns([20.0, 60.0])
    start = initialise(images_of(A, sources(rng, 2)).sum(0), 2, 4, mixing="instantaneous")
    assert start.A.shape == (2, 2) and closest(start.A, A).max() < 0.1


def test_the_scale_and_the_precision_are_kept():
    X = images_of(columns([20.0, 60.0]), sources(np.random.default_rng(6), 2)).sum(0)
    images = separate_panned(X, 2)
    assert np.array_equal(separate_panned(2.0**-200 * X, 2), 2.0**-200 * images)
    assert separate_panned(X.astype(np.complex64), 2).dtype == np.complex64
