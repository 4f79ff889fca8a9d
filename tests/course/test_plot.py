"""Figures: what they show is what they were given, and silence does not break them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nmflib import STFT
from nmflib.course import plot

rng = np.random.default_rng(0)
stft = STFT(256)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("level", [0, 1e-12, 1, 1e12])
def test_spectrogram_puts_a_sine_at_its_frequency_and_time(level):
    x = level * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    figure, ax = plt.subplots()
    image = plot.spectrogram(ax, stft(x), stft, 8000, title="a sine")
    data = np.asarray(image.get_array())
    assert np.isfinite(data).all() and data.min() >= -70 and data.max() <= 0
    if level:
        low, high = image.get_extent()[2:]
        assert (np.argmax(data[:, 20]) + 0.5) * (high - low) / data.shape[0] + low == pytest.approx(1.0)
    assert ax.get_xlabel() == "time (s)" and ax.get_ylabel() == "frequency (kHz)"
    figure.canvas.draw()


@pytest.mark.parametrize(("max_hz", "unit", "label"), [(300, 1, "frequency (Hz)"), (2000, 1000, "frequency (kHz)")])
def test_frequencies_are_in_hertz_below_one_kilohertz(max_hz, unit, label):
    _, ax = plt.subplots()
    plot.spectrogram(ax, np.ones((129, 9)), stft, 8000, max_hz=max_hz)
    assert (ax.get_ylabel(), ax.get_ylim()) == (label, (0, max_hz / unit))


def test_a_factorization_shows_its_factors_in_the_proportions_of_their_product():
    W, H = rng.random((129, 2)), rng.random((2, 30))
    corner, above, left, centre = plot.factorization(W @ H, W, H, stft, 8000, names=["low", "high"], max_hz=500).axes
    spectra = [outline.get_paths()[0].vertices[:, 0].max() - k for k, outline in enumerate(left.collections)]
    np.testing.assert_allclose(spectra, 0.9)
    heights = [outline.get_paths()[0].vertices[:, 1].max() - 1 + k for k, outline in enumerate(above.collections)]
    np.testing.assert_allclose(heights, 0.9 * H.max(axis=1) * W.max(axis=0) / (H.max(axis=1) * W.max(axis=0)).max())
    assert [text.get_text() for text in above.get_yticklabels()] == ["high", "low"]
    assert not corner.axison and left.get_ylabel() == "frequency (Hz)" and centre.get_ylim() == (0, 500)
    plot.factorization(0 * W @ H, 0 * W, 0 * H, stft, 8000).canvas.draw()


def test_a_small_factorization_shows_the_numbers_of_v():
    V = np.array([[1.0, 2, 0], [2, 4, 0], [0, 0, 3]])
    *_, centre = plot.factorization(V, np.ones((3, 2)), np.ones((2, 3))).axes
    assert [text.get_text() for text in centre.texts] == ["1", "2", "0", "2", "4", "0", "0", "0", "3"]


def test_a_grid_of_sources_draws_silence_too():
    X = rng.standard_normal((129, 30)) + 1j
    plot.source_grid({"speech": [X, X], "music": [X, 0 * X]}, ["true", "estimated"], stft, 8000).canvas.draw()


def test_a_source_has_one_colour():
    assert plot.colour("mixture") == plot.MIXTURE and len({plot.colour(j) for j in range(6)}) == 6
    with pytest.raises(ValueError, match="source is 'tuba'"):
        plot.colour("tuba")
