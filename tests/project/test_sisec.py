"""tools/sisec.py, on a folder of two small panned mixtures that is made here."""

import csv
import runpy

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from nmflib.course.scenes import collection

sisec = runpy.run_path(str(collection() / "tools" / "sisec.py"), run_name="sisec")
RATE, SECONDS = 8000, 2
PANNED = {"made_two": (15, 70), "dev2_nodrums_inst": (10, 45, 75)}  # degrees; the second only bears a known name


def write(path, x):
    soundfile.write(path, x.T, RATE, subtype="PCM_24")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of gated, filtered noises and their sums, the images of one mixture not in the order of its name."""
    path, rng = tmp_path_factory.mktemp("sisec"), np.random.default_rng(0)
    time = np.arange(SECONDS * RATE) / RATE
    for name, degrees in PANNED.items():
        gates = [np.sin(2 * np.pi * rate * time + rng.uniform(0, 6)) > -0.2 for rate in (1.1, 1.7, 2.3)]
        poles = [np.poly(0.97 * np.exp([1j * angle, -1j * angle])).real for angle in (0.4, 1.2, 2.2)]
        sources = [lfilter([1], a, rng.standard_normal(len(time))) for a in poles]
        images = [
            0.05 * np.array([[np.cos(angle)], [np.sin(angle)]]) * gate * source / source.std()
            for angle, gate, source in zip(np.deg2rad(degrees), gates, sources, strict=False)
        ]
        extension = "wav" if len(images) == 2 else "flac"
        write(path / f"{name}_mix.{extension}", sum(images))
        for j, image in enumerate(images, start=1):
            write(path / f"{name}_sim_{j}.{extension}", image)
    (path / "dev_matrix.mat").write_bytes(b"of no interest")
    return path


def test_each_source_is_scored_beside_ideal_masks_and_what_was_published(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert sisec["main"]([str(folder), "--table", str(tmp_path / "scores.csv")]) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before, "nothing is written into the folder"
    said = capsys.readouterr()
    assert said.err == "" and "made_two: 2.0 s at 8 kHz, taken as panned; dB" in said.out
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mixture"], row["source"]) for row in rows] == [
        *(("dev2_nodrums_inst", j) for j in "123"), *(("made_two", j) for j in "12"),
    ]  # fmt: skip
    three, two = rows[:3], rows[3:]
    assert min(float(row["sdr"]) for row in two) > 40, "as many channels: one matrix undoes the mixing"
    assert min(float(row["sdr"]) for row in three) > 12
    assert all(5 < float(row["ideal_masks"]) < 35 for row in rows)
    assert [row["published_em"] for row in rows] == ["27.1", "7.6", "21.4", "", ""]
    assert said.out.count("published EM") == 1


def test_ideal_masks_are_those_of_the_true_powers():
    stft, rng = sisec["STFT"](256), np.random.default_rng(0)
    time = np.arange(4000) / RATE
    tones = 0.1 * np.sin(2 * np.pi * np.array([[[500.0]], [[2000.0]]]) * time * np.ones((2, 2, 1)))
    assert min(map(sisec["sdr"], tones, sisec["ideal_masks"](tones, stft))) > 40, "apart in frequency"
    noise = rng.standard_normal((1, 2, 4000)) * np.ones((2, 1, 1))
    np.testing.assert_allclose(sisec["ideal_masks"](noise, stft), noise, atol=1e-9, err_msg="half of twice the noise")


def test_a_folder_that_cannot_be_scored_gets_a_sentence(folder, tmp_path, capsys):
    def refused(*arguments):
        assert sisec["main"]([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("sisec: ") and said.err.count("\n") == 1
        return said.err

    assert "absent: there is no such folder" in refused(tmp_path / "absent")
    assert "holds no mixture: no file is named NAME_mix.wav" in refused(tmp_path)
    assert "where nothing is written" in refused(folder, "--table", folder / "scores.csv")
    assert "cannot be written" in refused(folder, "--table", tmp_path / "absent" / "scores.csv")
    mix, one, other = (soundfile.read(folder / f"made_two_{part}.wav")[0].T for part in ("mix", "sim_1", "sim_2"))
    write(tmp_path / "a_mix.wav", mix)
    assert "holds no true images: a_sim_1.wav, a_sim_2.wav" in refused(tmp_path)
    write(tmp_path / "a_sim_1.wav", one)
    write(tmp_path / "a_sim_2.wav", other[:, :-1])
    assert "a_sim_2.wav has shape (2, 15999) at 8000 Hz; a_mix.wav has (2, 16000)" in refused(tmp_path)
    write(tmp_path / "a_sim_2.wav", one)
    assert "a: its 2 images do not sum to a_mix.wav" in refused(tmp_path)
    (tmp_path / "a_sim_2.wav").write_bytes(b"hello")
    assert "a_sim_2.wav cannot be read as audio" in refused(tmp_path)
    write(tmp_path / "a_sim_2.wav", other)
    write(tmp_path / "b_mix.wav", mix)
    assert sisec["main"]([str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "b_mix.wav has 0 true images" in said.err and said.out.startswith("a: 2.0 s at 8 kHz"), "the other is scored"
