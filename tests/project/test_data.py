"""The clips of data/: whole, licensed, documented, fit to be used; and clips.py notices when they are not."""

import csv
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
with open(DATA / "manifest.csv", newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
README = (DATA / "README.md").read_text(encoding="utf-8")
LICENCES = ("CC0-1.0", "CC-BY-3.0", "CC-BY-SA-3.0", "MIT", "public domain")

clip = pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("data_build", ROOT / "tools" / "clips.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(tmp_path):
    """A copy of the folder that a test may damage."""
    shutil.copytree(DATA / "clips", tmp_path / "clips")
    shutil.copy(DATA / "manifest.csv", tmp_path)
    return tmp_path


def test_every_clip_has_one_row_and_every_row_a_clip():
    assert sorted(row["file"] for row in ROWS) == sorted(path.name for path in (DATA / "clips").iterdir())


@clip
def test_file_is_the_one_of_the_manifest(row):
    content = (DATA / "clips" / row["file"]).read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (row["sha256"], int(row["bytes"]))


@clip
def test_samples_are_those_of_the_manifest(row):
    samples, rate = sf.read(DATA / "clips" / row["file"], dtype="int16", always_2d=True)
    assert hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest() == row["samples_sha256"]
    assert rate == 16000 and samples.shape[1] == int(row["channels"])
    assert abs(len(samples) / rate - float(row["duration_s"])) <= 0.005


@clip
def test_clip_is_neither_clipped_nor_silent(row):
    samples, _ = sf.read(DATA / "clips" / row["file"], dtype="int16", always_2d=True)
    x = samples / 32768
    assert np.abs(x).max() < 0.98
    assert (np.sqrt(np.mean(x**2, axis=0)) > 0.01).all(), "a channel is (almost) silent"


def test_readme_names_the_clips_with_an_offset():
    offset = {row["file"]: np.abs(sf.read(DATA / "clips" / row["file"])[0].mean(axis=0)).max() for row in ROWS}
    named = re.search(r"offset of their originals, above 0.01: (.*)\. It", README)[1]
    named = {f"{name}.flac" for name in re.findall("`(.*?)`", named)}
    assert {name for name, value in offset.items() if value > 0.01} == named


@pytest.mark.parametrize(
    "pair",
    [
        ("gs_guitar", "gs_synth"),
        ("gs2_guitar", "gs2_backing"),
        ("piano_left_hand", "piano_right_hand"),
        ("room_music_guitar_image1", "room_music_guitar_image2"),
        ("kemar_two_talkers_image1", "kemar_two_talkers_image2"),
    ],
)
def test_mixtures_are_not_clipped(pair):
    images = [sf.read(DATA / "clips" / f"{name}.flac")[0] for name in pair]
    assert images[0].shape == images[1].shape
    assert 0.5 < np.abs(images[0] + images[1]).max() < 0.98


@clip
def test_licence_is_known_and_attributed(row):
    assert row["licence"].startswith(LICENCES)
    assert row["attribution"].strip() and row["source"].strip()


@clip
def test_readme_has_the_clip_with_its_licence_and_attribution(row):
    lines = [line for line in README.splitlines() if line.startswith(f"| `{row['file']}` |")]
    assert len(lines) == 1
    for value in (row["licence"], row["attribution"].replace("|", "+"), row["role"], row["duration_s"]):
        assert value in lines[0]


def test_readme_keeps_the_notices():
    for words in (
        "Permission is hereby granted, free of charge",
        "The above copyright notice and this permission",
        "Carlos\nViola Iborra",
        "Redistributions of source code must retain",
        "Gardner",
    ):
        assert words in README


def test_what_is_simulated_is_called_so():
    for row in ROWS:
        assert ("SIMULATED" in row["role"]) == row["file"].startswith("room_")
        assert ("MEASURED" in row["role"]) == row["file"].startswith("kemar_")


@pytest.mark.parametrize(
    "name, pitches",
    [
        ("piano_mary", {60, 62, 64, 67}),
        ("piano_right_hand", {60, 62, 64, 67}),
        ("piano_left_hand", {43, 48, 50, 55}),
    ],
)
def test_score_is_what_sounds(name, pitches):
    row = next(row for row in ROWS if row["file"] == f"{name}.flac")
    notes = json.loads(re.search(r"notes \(t,dur,midi\): (\[.*\])$", row["note"])[1])
    assert {midi for _, _, midi in notes} == pitches
    x = np.abs(sf.read(DATA / "clips" / row["file"])[0]).max(axis=1)
    ends = [t + seconds for t, seconds, _ in notes]
    assert all(t >= 0 and end <= float(row["duration_s"]) for (t, _, _), end in zip(notes, ends, strict=True))
    for t, _, _ in notes:  # an attack within 50 ms of every onset
        start = int(t * 16000)
        before, after = x[max(0, start - 320) : start], x[start : start + 800]
        assert after.max() > 1.2 * before.max(initial=0), f"no attack at {t} s"
    assert not x[: int(notes[0][0] * 16000) - 1].any(), "something sounds before the first note"
    assert not x[int((max(ends) + 0.12) * 16000) + 1 :].any(), "something sounds after the last release"


def test_verification_passes_without_network():
    done = subprocess.run([sys.executable, ROOT / "tools" / "clips.py", "--verify"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{len(ROWS)} clips in manifest.csv, 0 with a fault\n"), done.stderr


def test_verification_finds_every_fault(build, copy, capsys):
    clips = copy / "clips"
    x, rate = sf.read(clips / "guitar_intro.flac", dtype="int16")
    x[777] += 1
    sf.write(clips / "guitar_intro.flac", x, rate)
    sf.write(clips / "speech_en_m.flac", sf.read(clips / "speech_en_m.flac")[0], 8000)
    (clips / "gs_synth.flac").unlink()
    (clips / "tabla_cc0.flac").write_bytes((clips / "tabla_cc0.flac").read_bytes()[:5000])
    shutil.copy(clips / "gs_guitar.flac", clips / "other.flac")
    assert build.verify(copy) == 5
    out = capsys.readouterr().out
    for sentence in (
        "guitar_intro: samples_sha256 is",
        "speech_en_m: sample rate is 8000, should be 16000",
        "gs_synth: is missing",
        "tabla_cc0: cannot be read",
        "other.flac: has no row",
    ):
        assert sentence in out


def test_without_package_tools_it_says_so_and_still_verifies(copy):
    (copy / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "clips.py", copy / "tools")
    (copy / "data").mkdir()
    for name in ("clips", "manifest.csv"):
        (copy / name).rename(copy / "data" / name)
    command = [sys.executable, copy / "tools" / "clips.py", "--rebuild", "tabla_cc0", "piano_mary"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": ""})
    assert done.returncode == 0, done.stderr
    assert "tabla_cc0: cannot be rebuilt here: apt-get is not on this machine" in done.stdout
    assert "piano_mary: cannot be rebuilt here: npm is not on this machine" in done.stdout


def test_a_rebuilt_clip_replaces_the_committed_one_only_on_request(build, copy, monkeypatch):
    path = copy / "clips" / "tabla_cc0.flac"
    samples, _ = sf.read(path, always_2d=True)
    monkeypatch.setattr(build, "DATA", copy)
    monkeypatch.setattr(build, "manifest", lambda: {"tabla_cc0": {"file": path.name}})
    monkeypatch.setattr(build, "excerpts", lambda rows: [samples])
    assert build.rebuild("tabla_cc0") == "identical"
    committed = path.read_bytes()
    monkeypatch.setattr(build, "excerpts", lambda rows: [samples * 0.99])
    assert build.rebuild("tabla_cc0") == "same to within 40.0 dB"
    assert path.read_bytes() == committed
    build.rebuild("tabla_cc0", write=True)
    assert path.read_bytes() != committed
    assert build.rebuild("tabla_cc0") == "identical"
