"""From samples to samples: rates, windows, long recordings, odd ones, and what is said before the work."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve, resample_poly

from nmflib import _pieces, recording
from nmflib._pieces import split
from nmflib.blind.full_rank import dryness
from nmflib.recording import demix_again, excerpts, in_pieces, separate_recording, window


def bursts(rng, n_sources, seconds, rate):
    """Signals (J, T): harmonics that come and go, different ones for each source, nothing above 3.5 kHz."""
    time = np.arange(int(seconds * rate)) / rate
    signals = []
    for j in range(n_sources):
        parts = [
            np.sin(2 * np.pi * f * time + rng.uniform(0, 6))
            * np.interp(
                time, np.arange(0, seconds + 0.2, 0.1), rng.exponential(size=len(np.arange(0, seconds + 0.2, 0.1))) ** 2
            )
            for f in np.arange(1, 16) * (180 + 47 * j) * 1.0
        ]
        signals.append(sum(parts) + 1e-3 * rng.standard_normal(len(time)))
    return np.stack(signals)


def panned_images(seed, degrees, seconds=3.0, rate=16000):
    A = np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    return np.einsum("ij,jt->jit", A, bursts(np.random.default_rng(seed), len(degrees), seconds, rate))


def delayed_images(seed, delays, seconds=3.0, rate=16000):
    """Noise that comes and goes, in channel 1 some milliseconds later than in channel 0, each with one faint echo."""
    rng, images = np.random.default_rng(seed), []
    for delay in delays:
        noise = rng.standard_normal(int(8000 * seconds))
        loud = rng.exponential(size=int(10 * seconds) + 1) ** 2
        noise *= np.interp(np.arange(len(noise)) / 800, np.arange(len(loud)), loud)
        s = resample_poly(noise, rate // 1000, 8)
        later = [np.roll(s, round(ms * rate / 1000)) for ms in (max(-delay, 0), max(delay, 0))]
        echo = [0.2 * np.roll(s, round(ms * rate / 1000)) for ms in (5.0 + delay, 7.0 - delay)]
        images.append(np.stack(later) + np.stack(echo))
    return np.stack(images)


def sdr(references, estimates):
    error = ((references[:, None] - estimates) ** 2).sum((2, 3)).min(1)
    return 10 * np.log10((references**2).sum((1, 2)) / (error + 1e-30))


def test_windows_have_the_same_length_at_every_rate():
    assert [window(s, 16000) for s in (0.064, 0.128, 0.256, 0.512)] == [1024, 2048, 4096, 8192]
    for rate in (8000, 11025, 22050, 44100, 48000, 96000):
        for seconds in (0.064, 0.256, 0.512):
            n = window(seconds, rate)
            assert n % 4 == 0 and abs(n / rate - seconds) < 0.02 * seconds


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 44099.5])
def test_the_frequencies_above_are_what_a_lower_rate_leaves_out(rate):
    time = np.arange(int(rate)) / rate
    x = np.stack([np.sin(2 * np.pi * 7000 * time), np.sin(2 * np.pi * 9000 * time)])
    low, high = split(x, rate, 16000.0)
    assert abs(low.shape[1] - 16000) <= 1
    middle = slice(2000, -2000)
    assert np.abs(high[0, middle]).max() < 1e-3 and np.abs(high[1] - x[1])[middle].max() < 1e-3
    expected = np.sin(2 * np.pi * 7000 * np.arange(low.shape[1]) / 16000)
    assert np.abs(low[0] - expected)[middle].max() < 1e-2 and np.abs(low[1, middle]).max() < 1e-3
    same, nothing = split(x, 16000, 16000.0)
    assert same is x and nothing is None


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_panned_pair_is_recognised_and_separated_at_every_rate(rate):
    truth = panned_images(0, [20.0, 60.0], rate=rate)
    images = separate_recording(truth.sum(0), rate)
    assert sdr(truth, images).min() > 35
    assert np.allclose(images.sum(0), truth.sum(0))


def test_delays_and_echoes_are_separated_and_the_rate_hardly_matters():
    values, at_16_khz = [], delayed_images(1, [0.5, -0.4], seconds=2.0)
    for rate in (16000, 44100, 48000):
        truth = resample_poly(at_16_khz, rate // 100, 160, axis=-1)
        images = separate_recording(truth.sum(0), rate)
        assert np.allclose(images.sum(0), truth.sum(0))
        values.append(sdr(truth, images).mean())
    assert min(values) > 12 and np.ptp(values) < 1


def test_what_is_above_8_khz_is_separated_too():
    rng = np.random.default_rng(7)
    loud = rng.exponential(size=(2, 21)) ** 2
    noise = [
        s * np.interp(np.arange(96000) / 4800, np.arange(21), g)
        for s, g in zip(rng.standard_normal((2, 96000)), loud, strict=True)
    ]
    truth = np.stack([[s, np.roll(s, delay)] for s, delay in zip(noise, (24, -19), strict=True)])
    images = separate_recording(truth.sum(0), 48000, mixing="convolutive")
    high, found = (split(y, 48000, 16000.0)[1] for y in (truth, images))
    assert sdr(high, found).mean() > sdr(high, np.repeat(high.sum(0)[None] / 2, 2, 0)).mean() + 5


def test_three_panned_sources_on_two_channels_are_better_than_a_third_of_the_mixture():
    truth = panned_images(2, [10.0, 45.0, 80.0], seconds=2.0)
    images = separate_recording(truth.sum(0), 16000, 3)
    third = sdr(truth, np.repeat(truth.sum(0)[None] / 3, 3, 0)).mean()
    assert sdr(truth, images).mean() > third + 8


@pytest.mark.parametrize("degrees", [[0.0, 90.0], [0.0, 45.0, 90.0]], ids=["left right", "left centre right"])
def test_sources_panned_hard_to_the_sides_are_separated(degrees):
    truth = panned_images(1, degrees, seconds=2.0)
    assert sdr(truth, separate_recording(truth.sum(0), 16000, len(degrees))).min() > 25


@pytest.mark.parametrize("n_channels", [3, 4])
def test_three_and_four_channels(n_channels):
    rng = np.random.default_rng(8)
    panned = np.einsum("ij,jt->jit", rng.uniform(0.1, 1, (n_channels, n_channels)), bursts(rng, n_channels, 2.0, 16000))
    assert sdr(panned, separate_recording(panned.sum(0), 16000, n_channels)).min() > 35
    x = delayed_images(8, [0.5, -0.4], seconds=0.5, rate=4000).sum(0)
    x = np.concatenate([x, np.roll(x, 3, axis=1)])[:n_channels]
    images = separate_recording(x, 4000, n_channels, mixing="convolutive")
    assert images.shape == (n_channels, *x.shape) and np.allclose(images.sum(0), x)


@pytest.mark.parametrize("rows", [[0, 1, None, None], [0, 1, 1], [None, 1, None], [0, 0, 0, 0]], ids=str)
@pytest.mark.parametrize("mixing", ["instantaneous", "convolutive"])
def test_silent_channels_and_copies_change_nothing_in_the_others(rows, mixing):
    pair = delayed_images(5, [0.5, -0.4], seconds=1.0, rate=2000).sum(0)
    x = np.stack([0 * pair[0] if row is None else pair[row] for row in rows])
    images = separate_recording(x, 2000, len(rows), mixing=mixing)
    assert np.isfinite(images).all() and np.allclose(images.sum(0), x)
    for row, image in zip(rows, images.swapaxes(0, 1), strict=True):
        assert np.allclose(image, images[:, rows.index(row)] if row is not None else 0)
    if {0, 1} <= set(rows):
        expected = separate_recording(pair, 2000, len(rows), mixing=mixing)
        assert np.allclose(images[:, :2], expected)


@pytest.mark.parametrize("mixing", ["instantaneous", "convolutive"])
@pytest.mark.parametrize("n_sources", [2, 3])
def test_progress_rises_from_nothing_to_all(mixing, n_sources):
    x, shares = panned_images(3, [20.0, 60.0], seconds=1.0, rate=2000).sum(0), []
    separate_recording(x, 2000, n_sources, mixing=mixing, progress=shares.append)
    assert shares[0] == 0 and shares[-1] == 1 and len(set(shares)) >= 4
    assert (np.diff(shares) >= 0).all()


@pytest.mark.parametrize("mixing", ["instantaneous", "convolutive"])
@pytest.mark.parametrize("n_sources", [2, 3])
def test_a_long_recording_is_learnt_from_excerpts_and_separated_in_pieces(monkeypatch, mixing, n_sources):
    make, places = (
        (panned_images, [10.0, 45.0, 80.0]) if mixing == "instantaneous" else (delayed_images, [0.5, -0.4, 0.0])
    )
    truth = make(4, places[:n_sources], seconds=6.0, rate=8000)
    x = truth.sum(0)
    short = sdr(truth, separate_recording(x, 8000, n_sources, mixing=mixing)).mean()
    for name, value in dict(WHOLE=5.0, EXCERPTS=4, EXCERPT=1.0, PIECE=2.0, FADE=0.25).items():
        monkeypatch.setattr(_pieces, name, value)
    images = separate_recording(x, 8000, n_sources, mixing=mixing)
    assert np.allclose(images.sum(0), x)
    assert sdr(truth, images).mean() > short - 4


def test_pieces_are_faded_into_each_other_without_a_trace(monkeypatch):
    monkeypatch.setattr(_pieces, "WHOLE", 1.0)
    monkeypatch.setattr(_pieces, "PIECE", 1.7)
    x = np.random.default_rng(0).standard_normal((2, 5000))
    images = in_pieces(x, 1000, 2, lambda piece: np.stack([0.25 * piece, 0.75 * piece]), lambda share: None)
    assert np.allclose(images, np.stack([0.25 * x, 0.75 * x]))
    assert excerpts(x, 1000).shape[1] == 8 * 5000


def test_dry_rooms_are_told_from_reverberant_ones():
    rng = np.random.default_rng(0)
    S = rng.standard_normal((2, 1025, 40)) + 1j * rng.standard_normal((2, 1025, 40))
    omega = np.pi / 1024 * np.arange(1025)[:, None]
    direct = np.exp(-1j * omega[:, :, None] * np.array([[0, 0], [3, -5]]))  # (F, I, J)
    tail = np.fft.rfft(rng.standard_normal((900, 2, 2)) / 30, 2048, axis=0)
    dry, wet = (np.einsum("fij,jfn->jifn", A, S) for A in (direct, direct + 0.5 * tail))
    assert dryness(dry) > recording.DRY[1] and dryness(wet) < recording.DRY[0]


def test_in_a_dry_room_the_determined_start_stays_in_the_result():
    """The full-rank model alone reaches 9 dB."""
    truth = delayed_images(1, [0.5, -0.4], seconds=2.0, rate=8000)
    assert sdr(truth, separate_recording(truth.sum(0), 8000, mixing="convolutive")).min() > 12


def reverberant_images(rate=8000):
    """Bursts of noise through responses of 0.3 s, drawn at random."""
    rng = np.random.default_rng(3)
    tails = rng.standard_normal((2, 2, int(0.3 * rate))) * np.exp(-np.arange(int(0.3 * rate)) / (0.05 * rate))
    dry = delayed_images(1, [0.0, 0.0], seconds=6.0, rate=rate)[:, 0]
    return np.stack([[fftconvolve(s, h)[: len(s)] for h in pair] for s, pair in zip(dry, tails, strict=True)])


@pytest.mark.parametrize("case", ["reverberation", "a source only one channel hears"])
def test_demixing_again_in_longer_windows_betters_a_start_and_keeps_its_order(case):
    truth = reverberant_images()
    if case != "reverberation":
        truth[1, 0] = 0
    x, rough = truth.sum(0), 0.75 * truth + 0.25 * truth[::-1]
    for order in ([0, 1], [1, 0]):
        images = demix_again(x, rough[order], 0.0, 8000)
        error = ((truth[order] - images) ** 2).sum((1, 2)) / ((truth - rough)[order] ** 2).sum((1, 2))
        assert error.max() < 0.5 and np.allclose(images.sum(0), x, atol=1e-6 * np.abs(x).max())


def test_a_dry_start_is_not_demixed_again():
    images = delayed_images(1, [0.5, -0.4], seconds=1.0, rate=4000)
    assert demix_again(images.sum(0), images, 0.9, 4000) is images
    assert max(limit for _, limit in recording.LONGER) <= recording.DRY[0]  # what is demixed again is not kept


CASES = {
    "one sample": lambda x: x[:, :1],
    "few samples": lambda x: x[:, :50],
    "constant": lambda x: np.ones_like(x),
    "with an offset": lambda x: x + 5,
    "silence": lambda x: 0 * x,
    "equal channels": lambda x: x[[0, 0]],
    "one silent channel": lambda x: x * [[1], [0]],
    "opposite channels": lambda x: x[[0]] * [[1], [-1]],
    "faintest": lambda x: (1e-36 * x).astype(np.float32),
    "faint": lambda x: 1e-30 * x,
    "loud": lambda x: 1e30 * x,
    "integers": lambda x: (1000 * x).astype(np.int16),
    "float32": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mixing", ["auto", "convolutive"])
def test_odd_recordings_give_finite_images_that_sum_to_them(case, mixing):
    x = CASES[case](delayed_images(5, [0.5, -0.4], seconds=1.0, rate=2000).sum(0))
    before = x.copy()
    for n_sources in (2, 3):
        images = separate_recording(x, 2000, n_sources, mixing=mixing)
        assert images.shape == (n_sources, *x.shape) and np.isfinite(images).all()
        assert np.allclose(images.sum(0), x, rtol=1e-4, atol=1e-5 * np.abs(x).max())
        assert images.dtype == (np.float32 if x.dtype == np.float32 else float)
    assert np.array_equal(x, before)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(x=np.ones(5)), r"x has shape \(5,\); it must have 2 dimensions"),
        (dict(x=np.ones((2, 5)) * np.nan), "x has 10 NaN"),
        (dict(sample_rate=0), "sample_rate is 0"),
        (dict(n_sources=6), "n_sources is 6"),
        (dict(n_sources=2, x=np.ones((3, 9))), "there are 3 channels"),
        (dict(n_sources=2, x=np.ones((1, 9))), "there are 1 channels"),
        (dict(mixing="stereo"), "mixing is 'stereo'"),
    ],
)
def test_what_cannot_be_used_is_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        separate_recording(**(dict(x=np.ones((2, 9)), sample_rate=8000) | arguments))


def test_the_memory_is_that_of_the_machine_or_less_if_the_process_may_have_less(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, 0))
    assert (machine := _pieces.available_memory()) > 1e8
    for limit in (1e6, 1e18):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, limit=limit: (limit, 0))
        assert _pieces.available_memory() == min(limit, machine)


def test_what_does_not_fit_is_said_before_the_work(monkeypatch):
    monkeypatch.setattr(recording, "available_memory", lambda: 1e6)
    shares = []
    with pytest.raises(MemoryError, match=r"3 sources need .* GB of memory .* take a shorter piece"):
        separate_recording(np.ones((2, 100000)), 44100, 3, progress=shares.append)
    assert shares == [0.0]
