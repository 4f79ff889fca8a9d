"""Reading audio files of any origin, including damaged ones and those with a wrong length in the header."""

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike

from nmflib._check import Array

RATES = (4000, 400_000)  # Hz, of files that are read
CONVERT = "convert it first, for instance with ffmpeg -i memo.m4a memo.wav"

_UNKNOWN_BYTES, _UNKNOWN_FRAMES = 0x7FFFF000, 2**40  # programs that write into pipes put larger sizes in the header
_KBPS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
)


def read_audio(file: Any, label: str, start: float, max_seconds: float) -> tuple[Array, int, float, float]:
    """Read an audio file (a path or an io.BytesIO) from second `start` on, for at most max_seconds (> 0).

    returns samples (n_channels, n_samples), sample rate in Hz, the seconds that the file holds, and those that its
        header announces, which are more if it is broken off. Messages of errors begin with `label`.
    """
    if not 0 <= start < np.inf:
        raise ValueError(f"start is {start}; it must be a number of seconds, 0 or more")
    try:
        with _opened(file) as sound:
            is_mp3 = sound.format == "MP3"
        if is_mp3:
            content = file.getvalue() if isinstance(file, io.BytesIO) else Path(file).read_bytes()
            file = io.BytesIO(_with_length_table(content))
        with _opened(file) as sound:
            rate, announced = sound.samplerate, _announced(sound) / sound.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise ValueError(f"{label} has a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} Hz can be used")
            if sound.frames >= _UNKNOWN_FRAMES:
                raise ValueError(f"{label} does not say how long it is; {CONVERT}")
        n_samples = _n_samples(file)
        if n_samples < 1:
            raise ValueError(f"{label} holds no samples")
        if start >= n_samples / rate:
            raise ValueError(f"start is second {start:g}; {label} lasts {n_samples / rate:.1f} s")
        first = int(start * rate)
        with _opened(file) as sound:
            sound.seek(first)
            x = sound.read(int(min(n_samples - first, max_seconds * rate)), always_2d=True).T
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", "")).rstrip(".") or "damaged"
        raise ValueError(f"{label} cannot be read as audio ({reason}); WAV, FLAC, OGG and MP3 can: {CONVERT}") from None
    if not np.isfinite(x).all():
        raise ValueError(f"{label} holds NaN or infinite samples")
    return x, rate, n_samples / rate, max(announced, n_samples / rate)


def checked_samples(x: ArrayLike, name: str) -> Array:
    """x as an array of finite floats, (n_samples,) or (n_channels, n_samples) with no more channels than samples."""
    if np.iscomplexobj(x):
        raise ValueError(f"{name} holds complex numbers; it must hold samples, which are real")
    x = np.asarray(x, dtype=float)
    if x.ndim not in (1, 2) or x.size == 0:
        raise ValueError(f"{name} has shape {x.shape}; it needs samples, (n_samples,) or (n_channels, n_samples)")
    if x.ndim == 2 and len(x) > x.shape[1]:
        raise ValueError(
            f"{name} has shape {x.shape}: more channels than samples; it must be (n_channels, n_samples), "
            "the transpose (.T) of what soundfile reads"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"{name} has {np.sum(~np.isfinite(x))} samples that are NaN or infinite")
    return x


def _opened(file: Any) -> Any:
    if hasattr(file, "seek"):
        file.seek(0)
    return soundfile.SoundFile(file)


def _announced(sound: Any) -> float:
    """The samples per channel in the header; only the log of libsndfile tells that the data end before."""
    sizes = re.findall(r"(?m)^ *(?:data|Data Size|SSND|riff|Riff size) *: (\d+) \(should be (\d+)\)", sound.extra_info)
    announced, there = map(int, sizes[-1]) if sizes else (0, 0)
    return sound.frames * announced / there if 0 < there < announced < _UNKNOWN_BYTES else sound.frames


def _n_samples(file: Any) -> int:
    """The number of samples per channel that can be decoded."""
    with suppress(soundfile.SoundFileError), _opened(file) as sound:
        n_samples = sound.frames
        sound.seek(max(0, n_samples - sound.samplerate // 10))  # an MP3 may announce a few too many
        if n_samples and len(sound.read(1)):
            return int(n_samples)
    n_samples = 0
    with suppress(soundfile.SoundFileError), _opened(file) as sound:
        while block := len(sound.read(4096)):
            n_samples += block
    return n_samples


def _with_length_table(mp3: bytes) -> bytes:
    """The MP3 with a table ("Xing") of its number of frames, if it has none, or one that gives fewer.

    Without the table, a decoder assumes that all frames are as long as the first, and mistakes the length.
    """
    first, n_frames = _mp3_frames(mp3)
    if not n_frames:
        return mp3
    head = bytearray(mp3[first : first + 4])
    is_mpeg_1, is_mono = bool(head[1] & 8), head[3] >> 6 == 3
    at = first + 4 + ((17 if is_mono else 32) if is_mpeg_1 else (9 if is_mono else 17))
    has_table = mp3[at : at + 4] in (b"Xing", b"Info") and mp3[at + 7] & 1
    if has_table and int.from_bytes(mp3[at + 8 : at + 12], "big") >= n_frames - 5:
        return mp3
    head[1] |= 1  # no check sum
    head[2] = 14 << 4 | head[2] & 0x0C  # the highest bit rate: a frame with room for the table
    table = bytes(head) + bytes(at - first - 4) + b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return mp3[:first] + table.ljust(_frame_size(head), b"\0") + mp3[first:]


def _mp3_frames(mp3: bytes) -> tuple[int, int]:
    """The position of the first frame, and the number of frames; other bytes between them are skipped.

    A frame ends the file, or another one of the same MPEG version and sample rate follows it.
    """
    i = 0
    while mp3[i : i + 3] == b"ID3" and len(mp3) >= i + 10:  # a tag, with the picture of the cover for instance
        a, b, c, d = mp3[i + 6 : i + 10]
        i += 10 + (a << 21 | b << 14 | c << 7 | d)
    first, n_frames, end = -1, 0, len(mp3)
    while 0 <= i < end:
        size = _frame_size(mp3[i : i + 4])
        alike = zip(mp3[i : i + 3], mp3[i + size : i + size + 3], (0xFF, 0xFE, 0x0C), strict=False)
        is_frame = size and (i + size == end or (i + size <= end - 3 and all(a & m == b & m for a, b, m in alike)))
        if is_frame:
            first = i if first < 0 else first
            n_frames += 1
        i = i + size if is_frame else mp3.find(b"\xff", i + 1)
    return first, n_frames


def _frame_size(header: bytes | bytearray) -> int:
    """Bytes of the MPEG layer III frame that begins with these four (ISO/IEC 11172-3, 2.4.1.3); 0 if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or not 0 < bit_rate < 15:
        return 0
    is_mpeg_1, hertz = version == 3, (44100, 48000, 32000)[rate] >> (2, 0, 1, 0)[version]
    return (144 if is_mpeg_1 else 72) * 1000 * _KBPS[is_mpeg_1][bit_rate - 1] // hertz + (header[2] >> 1 & 1)
