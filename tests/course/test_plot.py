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


def test_factors_leave_the_product_as_it_is():
    W, H = rng.random((129, 2)), rng.random((2, 30))
    lines = [ax.lines[0].get_ydata() for ax in plot.factors(W, H, stft, 8000).axes]
    W_shown, H_shown = np.stack(lines[::2], axis=1), np.stack(lines[1::2])
    np.testing.assert_allclose(W_shown @ H_shown, W @ H)
    np.testing.assert_allclose(W_shown.max(axis=0), 1)
    plot.factors(0 * W, 0 * H, stft, 8000).canvas.draw()


def test_the_other_figures_draw():
    X = rng.standard_normal((129, 30)) + 1j
    plot.source_grid({"speech": [X, X], "music": [X, 0 * X]}, ["true", "estimated"], stft, 8000).canvas.draw()
    plot.waveforms({"mixture": rng.random(800), "error": np.zeros(800)}, 8000, span=(0.02, 0.08)).canvas.draw()
    _, ax = plt.subplots()
    plot.cost_curves(ax, {"mm": [3, 2, 1], "heuristic": [3, 1, 1]})
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]


def test_a_source_has_one_colour():
    assert plot.colour("mixture") == plot.MIXTURE and len({plot.colour(j) for j in range(6)}) == 6
    with pytest.raises(ValueError, match="source is 'tuba'"):
        plot.colour("tuba")
