"""The STFT pair: the inverse undoes it exactly, and it is librosa's."""

import librosa
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import check_NOLA, get_window

from nmflib import STFT


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    n_fft=st.integers(2, 300),
    window=st.sampled_from(["hann", "hamming", "boxcar", "blackman"]),
    n=st.integers(1, 1500),
)
def test_inverse_undoes_it_for_every_length_and_hop_with_NOLA(data, n_fft, window, n):
    hop = data.draw(st.integers(1, n_fft))
    assume(check_NOLA(get_window(window, n_fft), n_fft, n_fft - hop, tol=1e-7))
    stft = STFT(n_fft, hop, window)
    x = np.random.default_rng(n).uniform(-1, 1, n)
    np.testing.assert_allclose(stft.inverse(stft(x), n), x, atol=1e-10)


@pytest.mark.parametrize("n_fft, n", [(512, 16000), (1024, 7777), (4096, 12345), (1000, 5000)])
def test_is_librosa(n_fft, n):
    x = np.random.default_rng(0).standard_normal(n)
    X = librosa.stft(x, n_fft=n_fft, pad_mode="constant")
    np.testing.assert_allclose(STFT(n_fft)(x), X, atol=1e-9)
    np.testing.assert_allclose(STFT(n_fft).inverse(X, n), librosa.istft(X, n_fft=n_fft, length=n), atol=1e-9)


def test_is_linear_and_treats_channels_alike():
    stft, x = STFT(128), np.random.default_rng(0).standard_normal((3, 2, 1000))
    X = stft(x)
    assert X.shape == (3, 2, 65, 32)
    np.testing.assert_allclose(stft(x[0] - 2 * x[1]), X[0] - 2 * X[1], atol=1e-12)
    np.testing.assert_array_equal(stft(x[1, 0]), X[1, 0])
    np.testing.assert_allclose(stft.inverse(X, 1000), x, atol=1e-12)


def test_a_sine_peaks_in_its_bin_and_a_click_in_its_frame():
    stft, rate = STFT(1000, 250), 8000
    t = np.arange(8000) / rate
    sine = np.abs(stft(np.sin(2 * np.pi * 440 * t)))
    assert stft.frequencies(rate)[sine[:, 10].argmax()] == 440
    click = np.zeros(8000)
    click[2000] = 1
    assert stft.times(33, rate)[np.abs(stft(click)).sum(axis=0).argmax()] == 0.25


def test_inverse_is_the_least_squares_one():
    """Any other signal has an STFT further from an inconsistent X."""
    stft, rng = STFT(64), np.random.default_rng(0)
    X = stft(rng.standard_normal(500)) * rng.uniform(0, 1, (33, stft.n_frames(500)))
    x = stft.inverse(X, 500)
    weight = np.r_[1, np.full(31, 2), 1][:, np.newaxis]  # a one-sided spectrum counts its inner bins twice
    distance = [
        np.sum(weight * np.abs(stft(x + 1e-3 * d) - X) ** 2) for d in (np.zeros(500), *rng.standard_normal((5, 500)))
    ]
    assert min(distance) == distance[0]


def test_float32_stays_single_and_silence_stays_silent():
    stft = STFT(64)
    X = stft(np.zeros(100, dtype=np.float32))
    assert X.dtype == np.complex64 and not X.any()
    assert stft.inverse(X, 100).dtype == np.float32 and not stft.inverse(X, 100).any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: STFT(1), "n_fft is 1"),
        (lambda: STFT(64, 0), "hop is 0"),
        (lambda: STFT(64, 65), "hop is 65"),
        (lambda: STFT(64, 64, "hann"), "NOLA"),
        (lambda: STFT(64, window=np.ones(3)), "window has shape"),
        (lambda: STFT(64, window=np.full(64, np.nan)), "window has 64 NaN"),
        (lambda: STFT(64)(np.zeros(0)), "x is empty"),
        (lambda: STFT(64)(np.array([np.nan])), "x has 1 NaN"),
        (lambda: STFT(64)(np.array([1j])), "x is of type complex128; it must be real"),
        (lambda: STFT(64).inverse(np.zeros((32, 5))), "X has shape"),
        (lambda: STFT(64).inverse(np.zeros((33, 5)), 1000), "1000 samples need"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@settings(max_examples=300, deadline=None)
@given(
    n_fft=st.integers(2, 64),
    hop=st.integers(1, 64),
    first=st.integers(0, 63),
    length=st.integers(1, 64),
    n=st.integers(1, 200),
)
def test_a_window_with_zeros_is_refused_or_inverted_exactly(n_fft, hop, first, length, n):
    w = np.zeros(n_fft)
    w[first : first + length] = 1
    try:
        stft = STFT(n_fft, hop, w)
    except ValueError:
        return  # refused
    x = np.random.default_rng(n).uniform(-1, 1, n)
    np.testing.assert_allclose(stft.inverse(stft(x), n), x, atol=1e-12)


@pytest.mark.parametrize("shape", ["left", "right", "middle"])
def test_windows_are_refused_only_for_samples_they_leave_uncovered(shape):
    """Half of the window is zero. The left half alone misses the end of a signal, the right half its beginning."""
    w = np.zeros(64)
    w[{"left": slice(0, 32), "right": slice(32, 64), "middle": slice(16, 49)}[shape]] = 1
    if shape == "left":
        with pytest.raises(ValueError, match="at the ends of a signal"):
            STFT(64, 16, w)
    else:
        for n in range(1, 200):
            x = np.arange(1.0, n + 1)
            np.testing.assert_allclose(STFT(64, 16, w).inverse(STFT(64, 16, w)(x), n), x)
