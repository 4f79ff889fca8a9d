"""What is listened to: the talk's simulation as written, clips, mixtures, and files of all kinds."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nmflib import scenes


def test_sine_mixture_is_the_formula_of_the_slide():
    references, mixture = scenes.sine_mixture(23, 31, 500, 1000, duration=2, sample_rate=8000)
    t = np.arange(16000) / 8000
    np.testing.assert_allclose(references[0], (np.sin(23 * t) > 0) * np.sin(500 * t))
    np.testing.assert_allclose(references[1], (np.sin(31 * t) > 0) * np.sin(1000 * t))
    np.testing.assert_array_equal(mixture, references.sum(axis=0))


@given(rate=st.floats(0.5, 50), duration=st.floats(0.1, 12))
@settings(deadline=None)
def test_the_gate_switches_at_the_switching_times_and_nowhere_else(rate, duration):
    times = scenes.switching_times(rate, duration)
    t = np.linspace(1e-9, duration, 20001)
    switches = np.flatnonzero(np.diff(scenes.gate(rate * t)))
    assert abs(len(switches) - len(times)) <= 1  # one may fall on the very end
    n = min(len(switches), len(times))
    np.testing.assert_allclose(t[switches[:n]], times[:n], atol=duration / 10000)


def test_the_smooth_gate_is_on_when_the_gate_is_but_does_not_jump():
    t = np.linspace(0, 20, 100001)
    np.testing.assert_array_equal(scenes.smooth_gate(t) > 1e-12, scenes.gate(t) * (np.abs(np.sin(t)) > 1e-6) > 0)
    assert np.abs(np.diff(scenes.smooth_gate(t))).max() < 1e-3


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
    references, mixture, rate = scenes.mix("speech_fr_f", "music_coffee", snr_db=snr_db)
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


@pytest.mark.parametrize(
    "suffix, subtype", [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", None), ("ogg", None), ("mp3", None)]
)
def test_load_file_takes_the_usual_formats(tmp_path, suffix, subtype):
    t = np.arange(44100) / 44100
    x = 0.5 * np.stack([np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 660 * t)])
    soundfile.write(tmp_path / f"x.{suffix}", x.T, 44100, subtype=subtype)
    y, rate = scenes.load_file(tmp_path / f"x.{suffix}")
    assert rate == 16000 and y.shape[0] == 2 and abs(y.shape[1] - 16000) < 2000
    spectrum = np.abs(np.fft.rfft(y[0, 2000:10000]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=2)


def test_load_file_reads_open_files_as_well():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.ones(1600) * 0.1, 16000, format="WAV")
    buffer.seek(0)
    assert scenes.load_file(buffer)[0].shape == (1600,)


def test_unusable_files_get_a_sentence(tmp_path):
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "zero.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 3), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16000, subtype="FLOAT")
    for name, message in {
        "text.wav": "cannot be read", "empty.wav": "cannot be read", "zero.wav": "holds no samples",
        "long.wav": "lasts 3 s; at most 2 s", "nan.wav": "NaN", "absent.wav": "no such file",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=message):
            scenes.load_file(tmp_path / name, max_seconds=2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: scenes.load("piano"), "name is 'piano'; the clips are"),
        (lambda: scenes.stereo_scene("kitchen"), "the scenes are"),
        (lambda: scenes.sine_mixture(alpha=0), "alpha is 0"),
        (lambda: scenes.sine_mixture(delta=1e6), "must be below"),
        (lambda: scenes.sine_mixture(duration=0), "duration is 0"),
        (lambda: scenes.mix((np.zeros(100), 16000), "music_coffee"), "first is silent"),
        (lambda: scenes.mix("music_coffee", (np.zeros(100), 16000)), "second is silent"),
        (lambda: scenes.mix("music_coffee", (np.zeros(0), 16000)), "no samples"),
        (lambda: scenes.mix("music_coffee", "speech_en_f", snr_db=np.nan), "snr_db is nan"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_data_folder_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("NMFLIB_DATA", str(tmp_path))
    scenes.manifest.cache_clear()
    with pytest.raises(FileNotFoundError, match="NMFLIB_DATA"):
        scenes.load("piano_mary")
    scenes.manifest.cache_clear()
