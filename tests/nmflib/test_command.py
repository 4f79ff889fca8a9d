"""python -m nmflib: one file per source, and a sentence for everything that cannot be done."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from nmflib.__main__ import main

RATE = 22050
rng = np.random.default_rng(0)
time = np.arange(2 * RATE) / RATE
gates = np.stack([np.sin(5 * time) > 0, np.sin(7 * time) > 0.2])
sources = np.stack([np.sin(2000 * time) + np.sin(4000 * time), rng.standard_normal(len(time))]) * gates
x = 0.1 * np.array([[1.0, 0.3], [0.2, 0.9]]) @ sources


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "band practice.flac"
    soundfile.write(path, x.T, RATE)
    return path


def test_a_file_per_source_at_the_rate_of_the_recording(recording, capsys):
    assert main([str(recording), "--sources", "2"]) == 0
    files = [recording.parent / f"band practice_source_{j}.wav" for j in (1, 2)]
    outputs = [soundfile.read(file) for file in files]
    assert [rate for _, rate in outputs] == [RATE, RATE]
    heard = soundfile.read(recording)[0]
    np.testing.assert_allclose(sum(y for y, _ in outputs), heard, atol=1e-5)
    said = capsys.readouterr()
    assert "2.0 s, 2 channels at 22.05 kHz" in said.out and "panned" in said.out and str(files[1]) in said.out
    assert said.err == "" and sorted(recording.parent.iterdir()) == sorted([recording, *files])


def test_nothing_is_overwritten_without_force(recording, capsys):
    kept = recording.parent / "band practice_source_2.wav"
    kept.write_bytes(b"mine")
    assert main([str(recording)]) == 2
    assert "band practice_source_2.wav exists" in capsys.readouterr().err and kept.read_bytes() == b"mine"
    assert not (recording.parent / "band practice_source_1.wav").exists()
    out = recording.parent / "new" / "folder"
    assert main([str(recording), "--out", str(out), "--mixing", "instantaneous"]) == 0
    assert len(list(out.iterdir())) == 2
    assert main([str(recording), "--force"]) == 0 and kept.read_bytes() != b"mine"


def write(path, samples):
    soundfile.write(path, samples, RATE)


@pytest.mark.parametrize(
    ("name", "content", "options", "sentence"),
    [
        ("missing.wav", None, [], "there is no such file"),
        ("notes.wav", b"hello", [], "cannot be read as audio"),
        ("memo.m4a", b"\0\0\0 ftypM4A " * 9, [], "ffmpeg"),
        ("mono.wav", x[0], [], "1 channels"),
        ("three.wav", np.stack([x[0], x[1], x[0]]).T, ["--sources", "2"], "no more channels than sources"),
        ("many.wav", x.T, ["--sources", "9"], "n_sources is 9"),
    ],
)
def test_what_cannot_be_separated_is_a_sentence_and_exit_code_2(name, content, options, sentence, tmp_path, capsys):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write(path, content)
    assert main([str(path), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("nmflib: ") and sentence in said.err and said.err.count("\n") == 1


def test_without_a_reader_of_audio_files_it_says_what_to_install(recording, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert main([str(recording)]) == 2
    assert "pip install soundfile" in capsys.readouterr().err


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "nmflib", "--help"], capture_output=True, text=True, check=True)
    assert "--sources" in done.stdout and done.stderr == ""
