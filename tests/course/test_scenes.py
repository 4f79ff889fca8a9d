"""What is listened to: the talk's simulation as written, clips and mixtures."""

import numpy as np
import pytest

from nmflib.course import scenes


def test_sine_mixture_is_the_formula_of_the_slide():
    references, mixture = scenes.sine_mixture(23, 31, 500, 1000, duration=2, sample_rate=8000)
    t = np.arange(16000) / 8000
    np.testing.assert_allclose(references[0], (np.sin(23 * t) > 0) * np.sin(500 * t))
    np.testing.assert_allclose(references[1], (np.sin(31 * t) > 0) * np.sin(1000 * t))
    np.testing.assert_array_equal(mixture, references.sum(axis=0))


def test_every_clip_loads_and_every_stereo_scene_is_the_sum_of_its_images():
    for name, row in scenes.manifest().items():
        x, rate = scenes.load(name)
        assert rate == 16000 and np.isfinite(x).all() and x.any()
        assert (x.ndim == 1) == (row["channels"] == "1") and x.shape[-1] == pytest.approx(
            float(row["duration_s"]) * rate, abs=rate * 0.01
        )
    for name in scenes.STEREO_SCENES:
        images, rate = scenes.stereo_scene(name)
        assert images.shape[:2] == (2, 2) and np.abs(images.sum(axis=0)).max() <= 1


@pytest.mark.parametrize("snr_db", [-10, 0, 6])
def test_mix_has_the_snr_asked_for(snr_db):
    references, mixture, rate = scenes.mix(scenes.load("speech_fr_f"), scenes.load("music_coffee"), snr_db=snr_db)
    energy = np.sum(references**2, axis=1)
    assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(snr_db)
    assert np.abs(mixture).max() == pytest.approx(0.9) and rate == 16000
    np.testing.assert_allclose(references.sum(axis=0), mixture)
    assert mixture.shape == (124000,)  # the shorter of the two, 7.75 s


def test_mix_resamples_averages_channels_and_trims():
    t8, t16 = np.arange(8000) / 8000, np.arange(40000) / 16000
    slow, stereo = np.sin(2 * np.pi * 300 * t8), np.stack([np.sin(2 * np.pi * 300 * t16)] * 2)
    references, _, rate = scenes.mix((slow, 8000), (stereo, 16000))
    assert rate == 8000 and references.shape == (2, 8000)
    assert np.abs(references[0] - references[1])[500:-500].max() < 0.01


def test_levels_however_small_or_large_mix_alike():
    x, y = np.random.default_rng(0).standard_normal((2, 800))
    usual = scenes.mix((x, 8000), (y, 8000), snr_db=3)[1]
    for scale in (1e-6, 1e6):
        np.testing.assert_allclose(scenes.mix((scale * x, 8000), (y, 8000), snr_db=3)[1], usual, rtol=1e-9)
    integers = scenes.mix(((1000 * x).astype(np.int16), 8000), (y, 8000), snr_db=3)[1]
    assert np.abs(integers - usual).max() < 1e-2


noise = np.random.default_rng(0).standard_normal((2, 800))
with_nan = np.where(np.arange(800) == 5, np.nan, noise[0])


@pytest.mark.parametrize(
    "first, second, message",
    [
        ((np.zeros(100), 8000), (noise, 8000), "first is silent over the 0.01 s"),
        ((noise, 8000), (np.zeros(100), 8000), "second is silent"),
        ((noise, 8000), (np.zeros(0), 8000), r"second has shape \(0,\); it needs samples"),
        ((noise[0], 8000), (-noise[0], 8000), "first and second cancel at an SNR of 0 dB"),
        ((noise, 8000), (-3 * noise, 8000), "first and second cancel"),
        ((with_nan, 8000), (noise[0], 8000), "first has 1 samples that are NaN"),
        ((noise[0], 8000), (np.stack([with_nan, with_nan]), 8000), "second has 2 samples that are NaN"),
        ((noise.T, 8000), (noise, 8000), r"first has shape \(800, 2\): more channels than samples; .* transpose"),
        ((noise, 8000), (noise[:, :, np.newaxis], 8000), r"second has shape \(2, 800, 1\)"),
        ((1j * noise, 8000), (noise, 8000), "first holds complex numbers"),
        ((noise, 0), (noise, 8000), "to_rate is 0"),
        (noise, (noise, 8000), "first is of type ndarray; it must be a pair"),
        ((noise, 8000), "music_coffee", "second is of type str; it must be a pair"),
    ],
)
def test_what_cannot_be_mixed(first, second, message):
    with pytest.raises(ValueError, match=message):
        scenes.mix(first, second)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: scenes.load("piano"), "name is 'piano'; the clips are"),
        (lambda: scenes.stereo_scene("kitchen"), "the scenes are"),
        (lambda: scenes.sine_mixture(alpha=0), "alpha is 0"),
        (lambda: scenes.sine_mixture(delta=1e6), "must be below"),
        (lambda: scenes.sine_mixture(duration=0), "duration is 0"),
        (lambda: scenes.sine_mixture(duration=np.nan), "duration is nan"),
        (lambda: scenes.sine_mixture(sample_rate=0), "sample_rate is 0"),
        (lambda: scenes.sine_mixture(duration=1e-9), "at least one sample"),
        (lambda: scenes.resample(noise, 8000, 0), "to_rate is 0"),
        (lambda: scenes.resample(noise, np.nan, 8000), "from_rate is nan"),
        (
            lambda: scenes.load_file(b"RIFF" + bytes(10**5)),
            "^path is of type bytes; it must be the path of an audio file$",
        ),
        (lambda: scenes.mono(noise.T), "more channels than samples"),
        (lambda: scenes.mono(np.ones((2, 2, 9))), r"\(2, 2, 9\)"),
        (lambda: scenes.mix((noise, 8000), (noise, 8000), snr_db=np.nan), "snr_db is nan"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
