"""Separate the sources of a recording from the command line.

    python -m nmflib recording.wav --sources 2 [--out DIR] [--mixing auto|convolutive|instantaneous] [--force]

writes recording_source_1.wav, recording_source_2.wav, …, at the recording's own sample rate; they sum to it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nmflib._check import Array
from nmflib.blind import MIXINGS
from nmflib.recording import mixing_of, separate_recording

NAMES = {"instantaneous": "a panned mixture", "convolutive": "a recording in a room"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if the sources were written; else print a sentence and return 2."""
    parser = argparse.ArgumentParser(prog="python -m nmflib", description="Separate the sources of a stereo recording.")
    parser.add_argument("recording", type=Path, help="an audio file with two channels or more (WAV, FLAC, OGG, MP3)")
    parser.add_argument("--sources", type=int, default=2, metavar="N", help="number of sources (default: 2)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the sources (default: the same)")
    parser.add_argument("--mixing", choices=MIXINGS, default="auto", help="panned mixture, room, or decide (default)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options = parser.parse_args(arguments)
    try:
        print(separate_file(options.recording, options.sources, options.out, options.mixing, options.force, _bar()))
    except (ValueError, OSError, MemoryError, ImportError) as error:
        print(f"nmflib: {error}", file=sys.stderr)
        return 2
    return 0


def separate_file(
    path: Path, n_sources: int, out: Path | None, mixing: str, force: bool, progress: Callable[[float], object]
) -> str:
    """Write a file per source, and return a sentence about it."""
    x, sample_rate = _read(path)
    out = path.parent if out is None else out
    files = [out / f"{path.stem}_source_{j}.wav" for j in range(1, n_sources + 1)]
    existing = [file.name for file in files if file.exists()]
    if existing and not force:
        raise ValueError(f"{', '.join(existing)} exists in {out}; --force replaces it, --out names another folder")
    out.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    if mixing == "auto" and n_sources > 1:
        mixing = mixing_of(x, sample_rate)
    images = separate_recording(x, sample_rate, n_sources, mixing=mixing, progress=progress)
    for file, image in zip(files, images, strict=True):
        _write(file, image, sample_rate)
    seconds, taken = x.shape[1] / sample_rate, time.perf_counter() - begun
    return (
        f"{path.name}: {seconds:.1f} s, {len(x)} channels at {sample_rate / 1e3:g} kHz, separated as "
        f"{NAMES.get(mixing, 'one source')} in {taken:.0f} s: {', '.join(map(str, files))}"
    )


def _read(path: Path) -> tuple[Array, int]:
    """All samples (n_channels, n_samples) of an audio file, and its sample rate in Hz."""
    try:
        import soundfile  # noqa: F401

        from nmflib.course.audio import read_audio
    except ImportError:
        raise ImportError("soundfile, which reads audio files, is not installed: pip install soundfile") from None
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    x, sample_rate, seconds, announced = read_audio(path, path.name, 0.0, np.inf)
    if announced > seconds + 0.2:
        missing = f"{path.name} is broken off: its header says {announced:.1f} s, but it holds {seconds:.1f} s"
        print(f"nmflib: {missing}", file=sys.stderr)
    return x, sample_rate


def _write(file: Path, image: Array, sample_rate: int) -> None:
    """Write a WAV file of 32-bit floats, which cannot clip. It has its name only when it is complete."""
    import soundfile

    unfinished = file.with_suffix(".part")
    soundfile.write(unfinished, image.T.astype(np.float32), sample_rate, format="WAV", subtype="FLOAT")
    os.replace(unfinished, file)


def _bar() -> Callable[[float], object]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda share: None

    def show(share: float) -> None:
        bar, end = "#" * round(40 * share), "\n" if share >= 1 else ""
        print(f"\r[{bar:-<40}] {share:4.0%}", end=end, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
