"""What is listened to: the sine simulation of the talk, the clips of data/ by name, mixtures, a user's own file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SAMPLE_RATE = 16000
RATES = (4000, 400_000)  # Hz, of files that are read
ONE_SIGNAL = 1e-6  # two channels whose weaker direction has at most this share of the energy are one signal

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


def smooth_gate(t: Array) -> Array:
    """An envelope that is on and off when `gate` is, but rises and falls smoothly: sin² t where sin t > 0, else 0."""
    return np.maximum(np.sin(t), 0) ** 2


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
    """The talk's simulation s(t) = g(αt) sin(γt) + g(βt) sin(δt).

    alpha, beta : rates of the two envelopes; gamma, delta : angular frequencies; all in rad/s
    duration in seconds, sample_rate in Hz, envelope : g, a function of an angle in radians
    returns references (2, n_samples), the two terms, and mixture (n_samples,), their sum

    >>> references, mixture = sine_mixture(duration=1.0)
    >>> references.shape, mixture.shape
    ((2, 8000), (8000,))
    """
    for name, value in {"alpha": alpha, "beta": beta, "gamma": gamma, "delta": delta}.items():
        if not np.isfinite(value) or value <= 0:
            raise ValueError(f"{name} is {value}; it must be a finite number > 0, in rad/s")
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


def switching_times(rate: float, duration: float) -> Array:
    """When g(rate · t) switches, in seconds, strictly inside the duration: the multiples of π / rate.

    >>> switching_times(2.0, 5.0).round(3)
    array([1.571, 3.142, 4.712])
    """
    times = np.arange(1, int(duration * rate / np.pi) + 1) * np.pi / rate
    return times[times < duration]


def data_folder() -> Path:
    """The folder data/ of the collection: $NMFLIB_DATA, or the one beside the package."""
    return Path(os.environ.get("NMFLIB_DATA") or Path(__file__).resolve().parents[2] / "data")


def collection() -> Path:
    """The folder of the collection: data/, figures/ and notebooks/ are in it."""
    return data_folder().parent


@lru_cache(maxsize=1)
def manifest() -> dict[str, dict[str, str]]:
    """data/manifest.csv: clip name -> its row (role, licence, attribution, note, …)."""
    path = data_folder() / "manifest.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the clips come with the repository, set NMFLIB_DATA to its data folder"
        )
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"].removesuffix(".flac"): row for row in csv.DictReader(file)}


def load(name: str) -> tuple[Array, int]:
    """A clip of data/ by its name: samples (n_samples,) or (2, n_samples), and the sample rate (16 kHz).

    >>> x, sample_rate = load("piano_mary")
    >>> x.shape, sample_rate
    ((2, 189759), 16000)
    """
    if name not in manifest():
        raise ValueError(f"name is {name!r}; the clips are {', '.join(sorted(manifest()))}")
    return load_file(data_folder() / "clips" / f"{name}.flac")


def load_file(
    path: str | os.PathLike[str] | Any, *, sample_rate: int = SAMPLE_RATE, max_seconds: float = 60.0
) -> tuple[Array, int]:
    """Any audio file (WAV, FLAC, OGG, MP3; path or open binary file): samples (n_samples,) or (n_channels, n_samples).

    It is resampled to sample_rate (Hz). More than max_seconds is an error, not a silent cut.
    """
    label = str(getattr(path, "name", path))
    if isinstance(path, str | os.PathLike) and not Path(path).is_file():
        raise ValueError(f"{label}: there is no such file")
    x, rate, seconds = _read(path, label, 0.0, max_seconds)
    if seconds > max_seconds:
        raise ValueError(f"{label} lasts {seconds:.0f} s; at most {max_seconds:.0f} s are taken, cut it first")
    return resample(x[0] if len(x) == 1 else x, rate, sample_rate), sample_rate


def load_stereo(
    content: bytes, name: str, *, start: float = 0.0, max_seconds: float = 60.0, sample_rate: int = SAMPLE_RATE
) -> tuple[Array, int, str]:
    """The bytes of someone's two-microphone recording (WAV, FLAC, OGG, MP3): what can be separated of it.

    content, name : the file's bytes, and what messages call it
    start : second from which it is used, for at most max_seconds
    returns samples (2, n_samples) resampled to sample_rate (Hz), sample_rate, and a sentence that says what was read

    Whatever cannot be separated is a ValueError whose sentence says why: no audio, one channel or more than two, the
    same signal in both channels, silence, NaN, less than a second.
    """
    if not len(content):
        raise ValueError(f"{name} is empty: it has 0 bytes")
    x, rate, seconds = _read(io.BytesIO(content), name, start, max_seconds)
    if len(x) != 2:
        found = "1 channel" if len(x) == 1 else f"{len(x)} channels"
        raise ValueError(f"{name} has {found}; two microphones are needed, that is a stereo file with 2")
    used = x.shape[1] / rate
    if used < 1:
        raise ValueError(f"{name} holds {used:.2f} s from second {start:g} on; at least 1 s is needed")
    if not x.any():
        raise ValueError(f"{name} is silent over the {used:.0f} s from second {start:g} on")
    quiet, loud = np.linalg.eigvalsh(x @ x.T)
    if quiet <= ONE_SIGNAL * loud:
        raise ValueError(
            f"{name} holds one signal in both channels, or in one of them alone; two microphones that hear "
            "the sources from different places are needed"
        )
    what = f"{name}: {seconds:.1f} s of stereo at {rate / 1e3:g} kHz"
    if used < seconds - 0.05:
        what += f"; at most {max_seconds:g} s are used, here {used:.1f} s from second {start:g} on"
    return resample(x, rate, sample_rate), sample_rate, what + "."


def _read(file: Any, label: str, start: float, max_seconds: float) -> tuple[Array, int, float]:
    """Samples (n_channels, n_samples) from second `start` on, at most max_seconds; sample rate; the file's seconds."""
    import soundfile

    if not np.isfinite(start) or start < 0:
        raise ValueError(f"start is {start}; it must be a number of seconds, 0 or more")
    try:
        with soundfile.SoundFile(file) as sound:
            rate, seconds = sound.samplerate, sound.frames / sound.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"{label} has a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} Hz can be used")
            if sound.frames < 1:
                raise ValueError(f"{label} holds no samples")
            if start >= seconds:
                raise ValueError(f"start is second {start:g}; {label} lasts {seconds:.1f} s")
            sound.seek(int(start * rate))
            x = sound.read(min(sound.frames, int(max_seconds * rate)), dtype="float64", always_2d=True).T
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise ValueError(f"{label} cannot be read as audio ({reason}); WAV, FLAC, OGG and MP3 can") from None
    if x.size == 0:
        raise ValueError(f"{label} holds no samples")
    if not np.isfinite(x).all():
        raise ValueError(f"{label} holds NaN or infinite samples")
    return x, rate, seconds


def resample(x: Array, from_rate: float, to_rate: float) -> Array:
    """x : (..., n_samples) at another sample rate (in Hz)."""
    x = np.asarray(x, dtype=float)
    if from_rate == to_rate:
        return x
    import librosa

    return librosa.resample(x, orig_sr=from_rate, target_sr=to_rate)


def mono(x: Array) -> Array:
    """Mean of the channels: (n_channels, n_samples) or (n_samples,) -> (n_samples,)."""
    x = np.asarray(x)
    return x if x.ndim == 1 else x.mean(axis=0)


def mix(
    first: str | tuple[Array, int], second: str | tuple[Array, int], *, snr_db: float = 0.0
) -> tuple[Array, Array, int]:
    """One-channel mixture of two sounds, `first` being snr_db louder than `second` (by energy, over what is kept).

    first, second : clip names or (samples, sample_rate)
    returns references (2, n_samples), mixture (n_samples,), sample_rate

    The rule: stereo is averaged to mono, the second is resampled to the rate of the first, both are cut to the shorter.
    Both share one gain, such that the mixture peaks at 0.9.

    >>> references, mixture, sample_rate = mix("speech_fr_f", "music_coffee", snr_db=6)
    >>> bool(np.allclose(references.sum(axis=0), mixture))
    True
    """
    (x, rate), (y, other_rate) = (load(s) if isinstance(s, str) else s for s in (first, second))
    if not np.isfinite(snr_db):
        raise ValueError(f"snr_db is {snr_db}; it must be finite")
    a, b = mono(x), resample(mono(y), other_rate, rate)
    n = min(len(a), len(b))
    if n == 0:
        raise ValueError("one of the sounds to mix has no samples")
    a, b = a[:n], b[:n]
    for name, sound in (("first", a), ("second", b)):
        if not sound.any():
            raise ValueError(f"{name} is silent over the {n / rate:.2f} s that are mixed; no SNR can be set")
    b = b * (np.linalg.norm(a) / np.linalg.norm(b) * 10 ** (-snr_db / 20))
    references = np.stack([a, b]) * (0.9 / np.abs(a + b).max())
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
