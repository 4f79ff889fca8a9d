"""Audio material: the sine simulation of the talk, the clips of data/ by name, mixtures, a user's own file."""

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from nmflib._check import Array
from nmflib.course.audio import checked_samples, read_audio

SAMPLE_RATE = 16000
LONGEST = 600.0  # seconds of a file that `load_stereo` uses by default
ONE_SIGNAL = 1e-6  # two channels count as one signal if their weaker direction has at most this share of the energy

# Two-channel scenes: the mixture is the sum of these images. See data/README.md for what is real and what is simulated.
STEREO_SCENES = {
    "guitar_synth": ("gs_guitar", "gs_synth"),
    "guitar_band": ("gs2_guitar", "gs2_backing"),
    "piano_hands": ("piano_left_hand", "piano_right_hand"),
    "room_music_guitar": ("room_music_guitar_image1", "room_music_guitar_image2"),
    "kemar_two_talkers": ("kemar_two_talkers_image1", "kemar_two_talkers_image2"),
}


def gate(t: Array) -> Array:
    """The talk's on/off envelope g: 1 where sin t > 0, else 0; t in radians."""
    return (np.sin(t) > 0).astype(float)


def sine_mixture(
    alpha: float = 1,
    beta: float = 2,
    gamma: float = 500,
    delta: float = 1000,
    *,
    duration: float = 10.0,
    sample_rate: int = 8000,
    envelope: Callable[[Array], Array] = gate,
) -> tuple[Array, Array]:
    """The talk's simulation s(t) = g(αt) sin(γt) + g(βt) sin(δt): the two terms (2, n_samples) and their sum.

    alpha, beta : rates of the two envelopes; gamma, delta : angular frequencies; all in rad/s
    duration in seconds, sample_rate in Hz, envelope : g, a function of an angle in radians

    >>> references, mixture = sine_mixture(duration=1.0)
    >>> references.shape, mixture.shape
    ((2, 8000), (8000,))
    """
    numbers = {"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta}
    for name, value in {**numbers, "duration": duration, "sample_rate": sample_rate}.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}; it must be a finite number > 0")
    if max(gamma, delta) >= np.pi * sample_rate:
        raise ValueError(
            f"gamma, delta are {gamma}, {delta} rad/s; at {sample_rate} Hz they must be below {np.pi * sample_rate:.0f}"
        )
    n_samples = round(duration * sample_rate)
    if n_samples < 1:
        raise ValueError(f"duration is {duration} s; it must hold at least one sample")
    t = np.arange(n_samples) / sample_rate
    references = np.stack([envelope(alpha * t) * np.sin(gamma * t), envelope(beta * t) * np.sin(delta * t)])
    return references, references.sum(axis=0)


def data_folder() -> Path:
    """The folder data/ of the collection: $NMFLIB_DATA, or the one beside the package."""
    return Path(os.environ.get("NMFLIB_DATA") or Path(__file__).parents[2] / "data").expanduser().resolve()


def collection() -> Path:
    """The folder of the collection, which holds data/, figures/ and notebooks/."""
    return data_folder().parent


def of_collection(path: Path) -> Path:
    """The path itself, if this file of the collection exists; else a FileNotFoundError that says where it should be."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: it comes with the repository, not with the package alone; "
            "set NMFLIB_DATA to the data folder of a copy of the repository"
        )
    return path


def manifest() -> dict[str, dict[str, str]]:
    """data/manifest.csv: clip name -> its row (role, licence, attribution, note, …)."""
    with of_collection(data_folder() / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return {row["file"].removesuffix(".flac"): row for row in csv.DictReader(file)}


def load(name: str) -> tuple[Array, int]:
    """A clip of data/ by its name: samples (n_samples,) or (2, n_samples), and the sample rate (16 kHz).

    >>> x, sample_rate = load("piano_mary")
    >>> x.shape, sample_rate
    ((2, 189759), 16000)
    """
    clips = manifest()
    if name not in clips:
        raise ValueError(f"name is {name!r}; the clips are {', '.join(sorted(clips))}")
    return load_file(of_collection(data_folder() / "clips" / f"{name}.flac"))


def load_file(path: str | os.PathLike[str], *, max_seconds: float = 60.0) -> tuple[Array, int]:
    """A WAV, FLAC, OGG or MP3 file resampled to 16 kHz: (n_samples,) or (n_channels, n_samples), and the sample rate.

    A file that is longer than max_seconds, or broken off, raises an error: it is never cut silently.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path is of type {type(path).__name__}; it must be the path of an audio file")
    if not os.path.isfile(path):
        raise ValueError(f"{path}: there is no such file")
    x, rate, seconds, announced = read_audio(path, os.fspath(path), 0.0, max_seconds)
    if announced > seconds + 0.2:
        raise ValueError(
            f"{path} is broken off: it holds {seconds:.1f} s of the {announced:.1f} s that it announces; fetch it "
            "again, or keep what is there with ffmpeg -i broken.mp3 whole.wav"
        )
    if seconds > max_seconds:
        raise ValueError(f"{path} lasts {seconds:.0f} s; at most {max_seconds:.0f} s are taken, cut it first")
    return resample(x[0] if len(x) == 1 else x, rate, SAMPLE_RATE), SAMPLE_RATE


def load_stereo(
    content: bytes, name: str, *, start: float = 0.0, max_seconds: float = LONGEST
) -> tuple[Array, int, str]:
    """Samples (2, n_samples) of a two-microphone recording, its sample rate, and a sentence about the file.

    content : bytes of a WAV, FLAC, OGG or MP3 file; name : its name in messages
    start : second from which it is used, for at most max_seconds

    A file that cannot be separated raises a ValueError with the reason.
    """
    if not content:
        raise ValueError(f"{name} is empty: it has 0 bytes")
    x, rate, seconds, announced = read_audio(io.BytesIO(content), name, start, max_seconds)
    if len(x) != 2:
        found = "1 channel" if len(x) == 1 else f"{len(x)} channels"
        raise ValueError(f"{name} has {found}; two microphones are needed, that is a stereo file with 2")
    used = x.shape[1] / rate
    if used < 1:
        raise ValueError(f"{name} holds {used:.2f} s from second {start:g} on; at least 1 s is needed")
    if not np.ptp(x, axis=1).any():
        raise ValueError(f"{name} is silent over the {used:.0f} s from second {start:g} on")
    quiet, loud = np.linalg.eigvalsh(np.cov(x))
    if quiet <= ONE_SIGNAL * loud:
        raise ValueError(
            f"{name} holds one signal in both channels, or in one of them alone; two microphones that hear "
            "the sources from different places are needed"
        )
    what = f"{name}: {seconds:.1f} s of stereo at {rate / 1e3:g} kHz"
    if announced > seconds + 0.2:
        what += f"; it is broken off, {announced:.1f} s are announced"
    if used < seconds - 0.05:
        what += f"; at most {max_seconds:g} s are used, here {used:.1f} s from second {start:g} on"
    return x, rate, what + "."


def resample(x: Array, from_rate: float, to_rate: float) -> Array:
    """x (..., n_samples) at another sample rate; both rates in Hz."""
    for name, rate in (("from_rate", from_rate), ("to_rate", to_rate)):
        if not 0 < rate < np.inf:
            raise ValueError(f"{name} is {rate}; it must be a finite number > 0, in Hz")
    if from_rate == to_rate:
        return x
    import librosa

    return librosa.resample(x, orig_sr=from_rate, target_sr=to_rate)


def mono(x: ArrayLike, name: str = "x") -> Array:
    """Mean of the channels: (n_channels, n_samples) or (n_samples,) -> (n_samples,); `name` is that in messages."""
    x = checked_samples(x, name)
    return x if x.ndim == 1 else x.mean(axis=0)


def mix(
    first: tuple[ArrayLike, int], second: tuple[ArrayLike, int], *, snr_db: float = 0.0
) -> tuple[Array, Array, int]:
    """A one-channel mixture of two sounds in which the energy of `first` is snr_db above that of `second`.

    first, second : (samples, sample_rate), as `load` gives them; averaged to mono, brought to the rate of the first,
        and cut to the length of the shorter. One gain for both brings the peak of the mixture to 0.9.
    returns references (2, n_samples), mixture (n_samples,), sample_rate

    >>> references, mixture, sample_rate = mix(load("speech_fr_f"), load("music_coffee"), snr_db=6)
    >>> bool(np.allclose(references.sum(axis=0), mixture))
    True
    """
    if not abs(snr_db) <= 200:
        raise ValueError(f"snr_db is {snr_db}; it must be between -200 and 200 dB")
    for name, given in (("first", first), ("second", second)):
        if not (isinstance(given, tuple) and len(given) == 2):
            raise ValueError(f"{name} is of type {type(given).__name__}; it must be a pair (samples, sample_rate)")
    rate = first[1]
    a, b = mono(first[0], "first"), resample(mono(second[0], "second"), second[1], rate)
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]
    for name, sound in (("first", a), ("second", b)):
        if not sound.any():
            raise ValueError(f"{name} is silent over the {n / rate:.2f} s that are mixed; no SNR can be set")
    b = b * (np.linalg.norm(a) / np.linalg.norm(b) * 10 ** (-snr_db / 20))
    peak = np.abs(a + b).max()
    if peak <= 1e-9 * np.abs(a).max():
        raise ValueError(f"first and second cancel at an SNR of {snr_db:g} dB: one is the other with its sign changed")
    references = np.stack([a, b]) * (0.9 / peak)
    return references, references.sum(axis=0), rate


def stereo_scene(name: str) -> tuple[Array, int]:
    """A two-channel scene: images (n_sources, n_channels, n_samples), whose sum is the mixture, and the sample rate.

    >>> images, sample_rate = stereo_scene("piano_hands")
    >>> images.shape
    (2, 2, 105600)
    """
    if name not in STEREO_SCENES:
        raise ValueError(f"name is {name!r}; the scenes are {', '.join(STEREO_SCENES)}")
    clips = [load(clip)[0] for clip in STEREO_SCENES[name]]
    n = min(clip.shape[-1] for clip in clips)
    return np.stack([clip[:, :n] for clip in clips]), SAMPLE_RATE
