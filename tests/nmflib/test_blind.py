"""nmflib.blind: what it separates, what it must conserve, and what it must survive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nmflib import initialise
from nmflib.blind import separate_blind
from nmflib.blind.arrays import project_back, whiten
from nmflib.blind.determined import activity_correlation, align_permutation, aux_iva
from nmflib.blind.full_rank import wiener_images_from_masks
from nmflib.blind.underdetermined import (
    cacgmm_masks,
    delay_masks,
    most_likely_delays,
)


def on_and_off(rng, n_sources, n_freq=65, n_frames=150):
    """Complex Gaussian sources (J, F, N), each switched on and off as a whole."""
    loudness = np.repeat(rng.exponential(size=(n_sources, 1, n_frames // 3)), 3, axis=2)
    return (rng.standard_normal((2, n_sources, n_freq, n_frames)) * [[[[1]]], [[[1j]]]]).sum(0) * loudness


def sdr(references, estimates):
    """dB of each image, in the best order."""

    def values(order):
        return [
            10 * np.log10((abs(r) ** 2).sum() / (1e-20 + abs(r - estimates[k]) ** 2).sum())
            for r, k in zip(references, order, strict=True)
        ]

    return max((values(p) for p in itertools.permutations(range(len(references)))), key=sum)


def paths(rng, n_channels, n_sources, n_freq, echo=0.2):
    """Mixing (F, I, J) of a small room: a direct sound, up to 3 samples earlier or later per channel, and echoes."""
    h = echo * rng.standard_normal((24, n_channels, n_sources)) * 0.8 ** np.arange(24)[:, None, None]
    step = np.linspace(-3, 3, n_sources)
    for i, j in itertools.product(range(n_channels), range(n_sources)):
        h[6 + round(i * step[j] / max(n_channels - 1, 1)), i, j] += 1
    return np.fft.rfft(h, 2 * (n_freq - 1), axis=0)


@pytest.mark.parametrize("n", [2, 3])
def test_as_many_sources_as_channels_are_separated(n):
    worst = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        images = np.einsum("fij,jfn->jifn", paths(rng, n, n, 129), on_and_off(rng, n, 129))
        estimates = separate_blind(images.sum(0), n)
        worst.append(min(sdr(images, estimates)))
        assert np.allclose(estimates.sum(0), images.sum(0))
    assert np.median(worst) > 15


def thirds(X):
    """What knows nothing: a third of the mixture for each source."""
    return np.repeat(X[None] / 3, 3, axis=0)


def test_clusters_beat_the_mixture():
    """Sources that are sparse and otherwise noise: nothing but their directions tells them apart."""
    rng = np.random.default_rng(1)
    S = on_and_off(rng, 3, 129, 240) * (rng.random((3, 129, 240)) < 0.2)
    delays = np.exp(-1j * np.pi / 128 * np.outer(np.arange(129), [-6.0, 0.5, 7.0]))
    images = np.stack([S, S * delays.T[:, :, None]], axis=1)
    X = images.sum(0)
    estimates = wiener_images_from_masks(X, cacgmm_masks(X, delay_masks(X, most_likely_delays(X, 3))))
    assert min(sdr(images, estimates)) > min(sdr(images, thirds(X))) + 5


def test_three_sources_of_few_spectra_on_two_channels_beat_their_clusters():
    """Sources that repeat a few spectra, as notes and vowels do: the NMF knows more than the clusters."""
    rng = np.random.default_rng(1)
    P = (rng.exponential(size=(3, 129, 4)) ** 2) @ (rng.exponential(size=(3, 4, 240)) ** 2)
    S = (rng.standard_normal((2, 3, 129, 240)) * [[[[1]]], [[[1j]]]]).sum(0) * np.sqrt(P)
    images = np.einsum("fij,jfn->jifn", paths(rng, 2, 3, 129), S)
    X = images.sum(0)
    estimates, clusters = (
        separate_blind(X, 3),
        wiener_images_from_masks(X, cacgmm_masks(X, delay_masks(X, most_likely_delays(X, 3)))),
    )
    assert min(sdr(images, estimates)) > min(sdr(images, thirds(X))) + 5
    assert np.mean(sdr(images, estimates)) > np.mean(sdr(images, clusters)) + 2
    assert np.allclose(estimates.sum(0), X)


def test_order_of_every_bin_is_recovered():
    rng = np.random.default_rng(0)
    S = on_and_off(rng, 3)
    shuffled = np.stack([S[rng.permutation(3), f] for f in range(65)], axis=1)
    found = align_permutation(shuffled, activity_correlation(shuffled))
    assert min(sdr(S[:, None], found[:, None])) > 100


def test_white_outputs_and_least_squares_images():
    rng = np.random.default_rng(0)
    X = np.einsum("fij,jfn->ifn", paths(rng, 2, 2, 65), on_and_off(rng, 2))
    Z = whiten(X)
    assert np.allclose(np.einsum("ifn,jfn->fij", Z, Z.conj()) / Z.shape[2], np.eye(2), atol=1e-6)
    assert np.allclose(project_back(X, aux_iva(Z, 3, width=4)).sum(0), X)


@pytest.mark.parametrize("n_sources", [2, 3])
def test_scale_changes_nothing_else_and_one_seed_one_result(n_sources):
    rng = np.random.default_rng(0)
    X = np.einsum("fij,jfn->ifn", paths(rng, 2, n_sources, 65), on_and_off(rng, n_sources))
    kept = X.copy()
    images = separate_blind(X, n_sources)
    assert np.array_equal(images, separate_blind(X, n_sources)) and np.array_equal(X, kept)
    for scale in (2.0**-26, 2.0**26):
        assert np.allclose(separate_blind(scale * X, n_sources), scale * images, atol=0, rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_sources", [2, 3])
@pytest.mark.parametrize(
    "case",
    ["zeros", "silent channel", "equal channels", "silent frames", "one frame", "one bin", "loud", "quiet", "real"],
)
def test_awkward_mixtures_stay_finite_and_sum_to_x(case, n_sources):
    rng = np.random.default_rng(0)
    X = np.einsum("fij,jfn->ifn", paths(rng, 2, n_sources, 33), on_and_off(rng, n_sources, 33, 30))
    if case == "zeros":
        X = 0 * X
    elif case == "silent channel":
        X[1] = 0
    elif case == "equal channels":
        X[1] = X[0]
    elif case == "silent frames":
        X[:, :, 5:20] = 0
    elif case == "one frame":
        X = X[:, :, :1]
    elif case == "one bin":
        X = X[:, :1]
    elif case == "loud":
        X = 1e8 * X
    elif case == "quiet":
        X = 1e-8 * X
    else:
        X = X.real
    images = separate_blind(X, n_sources)
    assert images.shape == (n_sources, *X.shape) and np.isfinite(images).all()
    assert np.allclose(images.sum(0), X, atol=1e-4 * abs(X).max(), rtol=0)


@pytest.mark.parametrize(
    ("X", "n_sources", "message"),
    [
        (np.ones((2, 3)), 2, r"^X has shape \(2, 3\); it must have 3 dimensions"),
        (np.ones((2, 3, 4)), 1.5, "^n_sources is 1.5; it must be an integer"),
        (np.ones((3, 3, 4)), 2, "^n_sources is 2 and there are 3 channels; .* no more channels than sources$"),
        (
            np.ones((1, 3, 4)),
            2,
            "^n_sources is 2 and there are 1 channels; .* need at least two channels",
        ),
        (np.ones((2, 3, 4)), 6, "^n_sources is 6; it must be an integer from 1 to 5"),
    ],
)
def test_bad_input_is_named(X, n_sources, message):
    with pytest.raises(ValueError, match=message):
        separate_blind(X, n_sources)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_fewer_sources_than_microphones_without_noise(n_channels, kind):
    rng = np.random.default_rng(0)
    n_heard = n_channels - 1
    X = np.einsum("fij,jfn->ifn", paths(rng, n_channels, n_heard, 65), on_and_off(rng, n_heard)).astype(kind)
    images = separate_blind(X, n_channels)
    assert images.dtype == kind and np.isfinite(images).all()
    assert np.abs(images).max() < 10 * np.abs(X).max()
    assert np.allclose(images.sum(0), X, rtol=0, atol=1e-4 * np.abs(X).max())
    start = initialise(X, n_channels, 2, "blind")
    assert all(np.isfinite(x).all() for x in (start.A, start.Q, start.W, start.H, start.noise))


@pytest.mark.parametrize("n_sources", [2, 3])
def test_the_smallest_and_the_largest_numbers_are_separated_like_others(n_sources):
    rng = np.random.default_rng(0)
    X = np.einsum("fij,jfn->ifn", paths(rng, 2, n_sources, 33), on_and_off(rng, n_sources, 33, 30))
    images = separate_blind(X, n_sources)
    for scale in (2.0**-1000, 2.0**1000):
        assert np.allclose(separate_blind(scale * X, n_sources) / scale, images, rtol=1e-6, atol=0)
    assert np.isfinite(separate_blind(1e-320 * X, n_sources)).all()


@pytest.mark.parametrize("delays", [[-6.0, 0.5, 7.0], [-1.75, 0.0, 1.75]])
def test_delays_are_found_together_also_where_their_peaks_merge(delays):
    rng = np.random.default_rng(2)
    S = on_and_off(rng, 3, 129, 240) * (rng.random((3, 129, 240)) < 0.2)
    phase = np.exp(-1j * np.pi / 128 * np.outer(np.arange(129), delays))
    X = np.stack([S.sum(0), (S * phase.T[:, :, None]).sum(0)])
    np.testing.assert_allclose(np.sort(most_likely_delays(X, 3)), delays, atol=0.25)
