"""What is listened to: the talk's simulation as written, clips, mixtures, and files of all kinds."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nmflib.course import scenes


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


def two_tones(n_channels=2, seconds=2.0, rate=8000):
    """(n_channels, n_samples): two tones, heard at other levels in every channel."""
    t = np.arange(int(seconds * rate)) / rate
    levels = np.linspace(0.2, 1, n_channels)[:, np.newaxis]
    return 0.4 * (levels * np.sin(2 * np.pi * 440 * t) + (1.2 - levels) * np.sin(2 * np.pi * 660 * t))


def as_file(x, rate=8000, **options):
    """The bytes of an audio file of x (n_channels, n_samples), WAV unless `format` says otherwise."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(x).T, rate, **{"format": "WAV", **options})
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_load_stereo_takes_the_usual_formats_whatever_the_file_is_called(kind):
    x, rate, sentence = scenes.load_stereo(as_file(two_tones(), format=kind), "my recording.wav")
    assert rate == 16000 and x.shape[0] == 2 and abs(x.shape[1] - 32000) < 3000
    assert sentence.startswith("my recording.wav: 2.") and "stereo at 8 kHz" in sentence
    for channel, peak in zip(x, (660, 440), strict=True):
        spectrum = np.abs(np.fft.rfft(channel[4000:20000]))
        assert np.argmax(spectrum) == pytest.approx(peak, abs=1)


def test_of_a_long_file_the_seconds_asked_for_are_used_and_the_sentence_says_so():
    x = two_tones(seconds=600, rate=4000)
    x[:, 4000 * 300 : 4000 * 360] *= 0.5
    long = as_file(x, 4000)
    used, rate, sentence = scenes.load_stereo(long, "long.wav", start=300, sample_rate=4000)
    np.testing.assert_allclose(used, x[:, 4000 * 300 : 4000 * 360], atol=1e-4)
    assert rate == 4000
    assert sentence == ("long.wav: 600.0 s of stereo at 4 kHz; at most 60 s are used, here 60.0 s from second 300 on.")
    assert scenes.load_stereo(long, "long.wav", start=570, sample_rate=4000)[0].shape == (2, 4000 * 30)


def broken(**changed):
    """Two seconds of stereo with some samples replaced, as a WAV of floating-point numbers."""
    x = two_tones()
    for channel, value in changed.items():
        x[int(channel[-1])] = value
    return as_file(x, subtype="FLOAT")


one_tone = two_tones()[:1]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "x.wav is empty: it has 0 bytes"),
        (b"dear diary, " * 99, r"x.wav cannot be read as audio \(Format not recognised\); WAV, FLAC, OGG and MP3 can"),
        (as_file(two_tones())[:50], "x.wav holds 0.00 s"),
        (as_file(np.zeros((2, 0))), "x.wav holds no samples"),
        (as_file(two_tones(1)), "x.wav has 1 channel; two microphones are needed, that is a stereo file with 2"),
        (as_file(two_tones(3)), "x.wav has 3 channels; two"),
        (as_file(two_tones(seconds=0.5)), "x.wav holds 0.50 s from second 0 on; at least 1 s is needed"),
        (as_file(np.zeros((2, 16000))), "x.wav is silent over the 2 s from second 0 on"),
        (broken(channel0=np.nan), "x.wav holds NaN or infinite samples"),
        (broken(channel1=np.inf), "x.wav holds NaN or infinite samples"),
        (as_file(two_tones(), rate=100), "x.wav has a sample rate of 100 Hz; 4000 to 400000 Hz can be used"),
        (broken(channel1=0), "x.wav holds one signal in both channels, or in one"),
        (as_file(np.concatenate([one_tone, one_tone])), "x.wav holds one signal in both channels"),
        (as_file(np.concatenate([one_tone, 0.3 * one_tone]), format="FLAC"), "x.wav holds one signal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_recording_that_cannot_be_separated_gets_a_sentence(content, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        scenes.load_stereo(content, "x.wav")


@pytest.mark.parametrize(
    "start, message",
    [
        (2.5, "start is second 2.5; x.wav lasts 2.0 s"),
        (1.5, "x.wav holds 0.50 s from second 1.5 on"),
        (-1, "start is -1"),
        (np.nan, "start is nan"),
    ],
)
def test_a_start_outside_the_recording_gets_a_sentence(start, message):
    with pytest.raises(ValueError, match=message):
        scenes.load_stereo(as_file(two_tones()), "x.wav", start=start)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_damaged_files_are_read_or_get_a_sentence(kind):
    content, rng = as_file(two_tones(), format=kind), np.random.default_rng(0)
    for _ in range(60):
        damaged = np.frombuffer(content[: rng.integers(1, len(content))], np.uint8).copy()
        places = rng.integers(0, len(damaged), 8) % 200 if rng.random() < 0.7 else []
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            x, _, _ = scenes.load_stereo(damaged.tobytes(), "x", sample_rate=4000)
        except ValueError as error:
            assert str(error).startswith("x ") and "object at" not in str(error)
        else:
            assert np.isfinite(x).all() and x.shape[1] <= 60 * 4000 + 1


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
