"""Files of one's own: formats, lengths, what is broken off, what cannot be used."""

import io

import numpy as np
import pytest
import soundfile

from nmflib.course import scenes
from nmflib.course.audio import read_audio


def two_tones(n_channels=2, seconds=2.0, rate=8000):
    """(n_channels, n_samples): two tones, heard at other levels in every channel."""
    t = np.arange(int(seconds * rate)) / rate
    levels = np.linspace(0.2, 1, n_channels)[:, np.newaxis]
    return 0.4 * (levels * np.sin(2 * np.pi * 440 * t) + (1.2 - levels) * np.sin(2 * np.pi * 660 * t))


def load_bytes(content, folder, **options):
    """What `load_file` gives for a file with this content."""
    (folder / "x").write_bytes(content)
    return scenes.load_file(folder / "x", **options)


def as_file(x, rate=8000, **options):
    """The bytes of an audio file of x (n_channels, n_samples), WAV unless `format` says otherwise."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(x).T, rate, **{"format": "WAV", **options})
    return buffer.getvalue()


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


@pytest.mark.parametrize(
    "content, message",
    [
        (b"not audio", "x.wav cannot be read as audio .*ffmpeg -i memo.m4a memo.wav"),
        (b"", "x.wav cannot be read"),
        (as_file(np.zeros((1, 0))), "x.wav holds no samples"),
        (as_file(np.zeros((1, 24000))), "x.wav lasts 3 s; at most 2 s"),
        (as_file(np.full((1, 100), np.nan), subtype="FLOAT"), "x.wav holds NaN"),
        (as_file(np.zeros((1, 16000)))[:16000], r"x.wav is broken off: it holds 1.0 s of the 2.0 s that it announces"),
    ],
    ids=["text", "empty", "no samples", "long", "NaN", "broken off"],
)
def test_unusable_files_get_a_sentence(content, message, tmp_path):
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        scenes.load_file(tmp_path / "x.wav", max_seconds=2)
    assert (tmp_path / "x.wav").read_bytes() == content


def test_a_path_without_a_file_is_named():
    for path in ("absent.wav", "."):
        with pytest.raises(ValueError, match=f"^{path}: there is no such file$"):
            scenes.load_file(path)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_load_stereo_takes_the_usual_formats_whatever_the_file_is_called(kind):
    content = as_file(two_tones(), format=kind)
    x, rate, sentence = scenes.load_stereo(content, "my recording.wav")
    assert rate == 8000 and x.shape[0] == 2 and abs(x.shape[1] - 16000) < 1500
    assert sentence.startswith("my recording.wav: 2.") and "stereo at 8 kHz" in sentence
    for channel, peak in zip(x, (660, 440), strict=True):
        spectrum = np.abs(np.fft.rfft(channel[2000:10000]))
        assert np.argmax(spectrum) == pytest.approx(peak, abs=1)


def test_of_a_long_file_the_seconds_asked_for_are_used_and_the_sentence_says_so():
    x = two_tones(seconds=150, rate=4000)
    x[:, 4000 * 60 : 4000 * 120] *= 0.5
    long = as_file(x, 4000)
    used, rate, sentence = scenes.load_stereo(long, "long.wav", start=60, max_seconds=60)
    np.testing.assert_allclose(used, x[:, 4000 * 60 : 4000 * 120], atol=1e-4)
    assert rate == 4000
    assert sentence == ("long.wav: 150.0 s of stereo at 4 kHz; at most 60 s are used, here 60.0 s from second 60 on.")
    assert scenes.load_stereo(long, "long.wav", start=120)[0].shape == (2, 4000 * 30)
    assert scenes.load_stereo(long, "long.wav")[2] == "long.wav: 150.0 s of stereo at 4 kHz."


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
        (
            b"dear diary, " * 99,
            r"x.wav cannot be read as audio \(Format not recognised\); WAV, FLAC, OGG and MP3 can: convert",
        ),
        (as_file(two_tones())[:50], "x.wav holds 0.00 s"),
        (as_file(np.zeros((2, 0))), "x.wav holds no samples"),
        (as_file(two_tones(1)), "x.wav has 1 channel; two microphones are needed, that is a stereo file with 2"),
        (as_file(two_tones(3)), "x.wav has 3 channels; two"),
        (as_file(two_tones(seconds=0.5)), "x.wav holds 0.50 s from second 0 on; at least 1 s is needed"),
        (as_file(np.zeros((2, 16000))), "x.wav is silent over the 2 s from second 0 on"),
        (broken(channel0=np.nan), "x.wav holds NaN or infinite samples"),
        (broken(channel1=np.inf), "x.wav holds NaN or infinite samples"),
        (as_file(two_tones(), rate=100), "x.wav has a sample rate of 100 Hz; 4000 to 400000 Hz can be used"),
        (as_file(two_tones() * 0 + [[0.1], [-0.2]]), "x.wav is silent over the 2 s"),
        (broken(channel1=0), "x.wav holds one signal in both channels, or in one"),
        (broken(channel1=0.1), "x.wav holds one signal in both channels, or in one"),
        (as_file(np.array([[0.01], [-0.02]]) + one_tone), "x.wav holds one signal in both channels"),
        (as_file(np.array([[0.3], [-0.1]]) * one_tone + 0.5), "x.wav holds one signal in both channels"),
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
            x, rate, _ = scenes.load_stereo(damaged.tobytes(), "x")
        except ValueError as error:
            assert str(error).startswith("x ") and "object at" not in str(error)
        else:
            assert np.isfinite(x).all() and x.shape[1] <= scenes.LONGEST * rate + 1


KINDS = ["WAV", "AIFF", "AU", "W64", "RF64", "FLAC", "MP3"]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_file_that_is_broken_off_what_is_there_is_read_and_said(kind, tmp_path):
    whole = as_file(0.3 * np.random.default_rng(0).standard_normal((2, 80000)), format=kind)
    x, _, sentence = scenes.load_stereo(whole[: len(whole) // 2], "x")
    seconds = x.shape[1] / 8000
    assert 4 < seconds < 6
    assert sentence == f"x: {seconds:.1f} s of stereo at 8 kHz; it is broken off, 10.0 s are announced."
    with pytest.raises(ValueError, match=rf"broken off: it holds {seconds:.1f} s of the 10.0 s"):
        load_bytes(whole[: len(whole) // 2], tmp_path)
    assert scenes.load_stereo(whole, "x")[2] == "x: 10.0 s of stereo at 8 kHz."


def varying(rate, n_channels=2, quiet_first=False):
    """Ten seconds as an MP3 of variable bit rate, half of them noise, half a soft tone; and it without its table."""
    noise = 0.3 * np.random.default_rng(0).standard_normal((n_channels, 5 * rate))
    tone = 1e-3 * np.sin(np.arange(5 * rate) / 5) * np.ones((n_channels, 1))
    parts = [tone, noise] if quiet_first else [noise, tone]
    mp3 = as_file(np.concatenate(parts, axis=1), rate, format="MP3", bitrate_mode="VARIABLE", compression_level=0.2)
    first = mp3.index(b"\xff")
    following = mp3.index(mp3[first : first + 2], first + 2)
    while mp3[following + 2] & 0x0C != mp3[first + 2] & 0x0C:
        following = mp3.index(mp3[first : first + 2], following + 2)
    return mp3, mp3[following:]


@pytest.mark.parametrize(
    "rate, n_channels, quiet_first", [(32000, 2, False), (44100, 1, True), (16000, 2, True), (8000, 1, False)]
)
def test_an_mp3_without_a_table_of_its_length_is_read_whole(rate, n_channels, quiet_first, tmp_path):
    mp3, without_table = varying(rate, n_channels, quiet_first)
    guessed = soundfile.SoundFile(io.BytesIO(without_table)).frames / rate
    assert not 8 < guessed < 12
    x, y = (read_audio(io.BytesIO(content), "x", 0.0, 60.0)[0] for content in (mp3, without_table))
    assert y.shape[-1] / rate == pytest.approx(10, abs=0.1)
    quiet = np.sqrt(np.mean(np.reshape(y, (n_channels, -1))[:, : 4 * rate] ** 2)) < 0.01
    assert quiet == quiet_first
    lag = y.shape[-1] - x.shape[-1]  # the table of an encoder also says how many samples it put in front
    assert 0 <= lag < 0.1 * rate
    with pytest.raises(ValueError, match="lasts 10 s; at most 6 s are taken"):
        load_bytes(without_table, tmp_path, max_seconds=6)


def test_tags_and_a_second_recording_behind_the_first_do_not_hide_anything(tmp_path):
    mp3, without_table = varying(16000)
    cover = b"ID3\x04\x00\x00\x00\x00\x0f\x7f" + (b"\xff\xfb\x90\x64" * 512)[: (15 << 7) + 127]
    for content, seconds in ((cover + without_table + b"TAG" + b"\xff" * 125, 10), (mp3 + mp3, 20)):
        assert load_bytes(content, tmp_path)[0].shape[1] / 16000 == pytest.approx(seconds, abs=0.3)


def test_what_is_written_into_a_pipe_without_knowing_its_length():
    wav = bytearray(as_file(two_tones()))
    size = wav.index(b"data") + 4
    wav[4:8] = wav[size : size + 4] = b"\xff" * 4
    assert scenes.load_stereo(bytes(wav), "x")[2] == "x: 2.0 s of stereo at 8 kHz."
    flac = bytearray(as_file(two_tones(), format="FLAC"))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    with pytest.raises(ValueError, match=r"^x does not say how long it is; convert it first"):
        scenes.load_stereo(bytes(flac), "x")
