"""Scenes that several test modules share."""

import numpy as np
import pytest


def random_stft(n_channels=2, n_freq=6, n_frames=15, seed=0):
    """A random STFT whose power varies over bins and frames."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_channels, n_freq, n_frames)) + 1j * rng.standard_normal((n_channels, n_freq, n_frames))
    return X * rng.gamma(1, 1, (n_freq, 1)) * rng.gamma(0.5, 1, n_frames)


def silent(X, *where):
    X = X.copy()
    X[where] = 0
    return X


def real_edges(X):
    X = X.copy()
    X[:, [0, -1]] = X[:, [0, -1]].real
    return X


AWKWARD = {
    "silent channel": lambda X: silent(X, 1),
    "other channel silent": lambda X: silent(X, 1)[::-1],
    "silent frames": lambda X: silent(X, ..., slice(3, 9)),
    "silent bins": lambda X: silent(X, slice(None), [0, -1]),
    "silence": lambda X: 0 * X,
    "identical channels": lambda X: X[[0, 0]],
    "real DC and Nyquist": real_edges,
    "one frame": lambda X: X[:, :, :1],
    "one bin": lambda X: X[:, :1],
    "one number": lambda X: X[:1, :1, :1],
    "very quiet": lambda X: 1e-8 * X,
    "very loud": lambda X: 1e8 * X,
    "one click": lambda X: np.where(np.arange(12) == 4, 1e6 * X, 1e-6 * X),
}


@pytest.fixture
def scene():
    return random_stft


@pytest.fixture(params=AWKWARD)
def awkward(request):
    """One awkward STFT after the other."""
    return AWKWARD[request.param](random_stft(2, 5, 12))


@pytest.fixture
def awkward_scene():
    """An awkward STFT by its name."""
    return lambda name: AWKWARD[name](random_stft(2, 5, 12))
