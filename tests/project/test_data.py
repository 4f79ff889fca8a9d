"""The clips of data/: whole, licensed, documented, fit to be used; and clips.py notices when they are not."""

import hashlib
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

from nmflib.course.claims import read_table

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
ROWS = read_table(DATA / "manifest.csv")
README = (DATA / "README.md").read_text(encoding="utf-8")
LICENCES = ("CC0-1.0", "CC-BY-3.0", "CC-BY-SA-3.0", "MIT", "public domain")

clip = pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])


@pytest.fixture
def build(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import clips

    return clips


@pytest.fixture
def copy(tmp_path):
    """A copy of the folder that a test may damage."""
    shutil.copytree(DATA / "clips", tmp_path / "clips")
    shutil.copy(DATA / "manifest.csv", tmp_path)
    return tmp_path


@clip
def test_file_is_the_one_of_the_manifest(row):
    content = (DATA / "clips" / row["file"]).read_bytes()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (row["sha256"], int(row["bytes"]))


@clip
def test_clip_is_neither_clipped_nor_silent(row):
    x, _ = sf.read(DATA / "clips" / row["file"], always_2d=True)
    assert np.abs(x).max() < 0.98
    assert (np.sqrt(np.mean(x**2, axis=0)) > 0.01).all(), "a channel is (almost) silent"


def test_readme_names_the_clips_with_an_offset():
    offset = {row["file"]: np.abs(sf.read(DATA / "clips" / row["file"])[0].mean(axis=0)).max() for row in ROWS}
    named = re.search(r"offset of their originals, above 0.01: (.*)\. It", README)[1]
    named = {f"{name}.flac" for name in re.findall("`(.*?)`", named)}
    assert {name for name, value in offset.items() if value > 0.01} == named


@clip
def test_a_known_licence_and_an_attribution_are_in_manifest_and_readme(row):
    assert row["licence"].startswith(LICENCES)
    assert row["attribution"].strip() and row["source"].strip()
    (line,) = (line for line in README.splitlines() if line.startswith(f"| `{row['file']}` |"))
    for value in (row["licence"], row["attribution"].replace("|", "+"), row["role"], row["duration_s"]):
        assert value in line


def test_readme_keeps_the_notices():
    for words in ("Carlos\nViola Iborra", "The above copyright notice", "Redistributions of source code", "Gardner"):
        assert words in README


def test_what_is_simulated_is_called_so():
    for row in ROWS:
        assert ("SIMULATED" in row["role"]) == row["file"].startswith("room_")
        assert ("MEASURED" in row["role"]) == row["file"].startswith("kemar_")


@pytest.mark.parametrize("name", ["piano_mary", "piano_right_hand", "piano_left_hand"])
def test_score_is_what_sounds(name):
    """Chapter 06 compares with this score: an attack within 50 ms of every onset, and silence before the first."""
    row = next(row for row in ROWS if row["file"] == f"{name}.flac")
    notes = json.loads(re.search(r"notes \(t,dur,midi\): (\[.*\])$", row["note"])[1])
    x = np.abs(sf.read(DATA / "clips" / row["file"])[0]).max(axis=1)
    for t, _, _ in notes:
        start = int(t * 16000)
        assert x[start : start + 800].max() > 1.2 * x[max(0, start - 320) : start].max(initial=0), f"no attack at {t} s"
    assert not x[: int(notes[0][0] * 16000) - 1].any()


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
