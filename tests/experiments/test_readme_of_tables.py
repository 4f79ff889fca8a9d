"""What data/results/README.md says of its tables, and chapters 12 and 14 in round numbers, is what the tables hold."""

import re

import numpy as np
import pandas as pd
import pytest

from nmflib.experiments import em_noise, tables

README = tables.path("recordings").with_name("README.md").read_text(encoding="utf-8")


def numbers(start):
    """The numbers of the line of the README that begins so."""
    (line,) = [line for line in README.splitlines() if line.startswith(start)]
    return [float(word) for word in re.findall(r"(?<![\w.])\d+\.\d+", line.removeprefix(start))]


@pytest.mark.parametrize("half", ["tuning", "unseen"])
@pytest.mark.parametrize(("n_sources", "n_channels", "name"), [(2, 2, "2 sources"), (3, 2, "3 on 2"), (3, 3, "3 on 3")])
def test_recordings(n_sources, n_channels, name, half):
    table = pd.read_csv(tables.path("recordings"))
    size = (table.n_sources == n_sources) & (table.n_channels == n_channels)
    rows = table[size & (table.half == half) & (table.rate == 16000)]
    assert f"| {name}, {half} | {len(rows)} |" in README
    expected = [rows.sdr.mean(), rows.sdr.median(), *rows.groupby("rt60").sdr.median()]
    assert numbers(f"| {name}, {half} |") == pytest.approx(expected, abs=0.0501)


def test_where_full_rank_loses_to_its_start():
    table = pd.read_csv(tables.path("beyond")).query("stage == 'others'")
    median = table.groupby(["scene", "method", "n_fft"]).sdr.median()
    ways = ("start alone", 4096), ("full rank", 0)
    expected = [median[scene, *way] for scene in ("kemar_two_talkers", "room_music_guitar") for way in ways]
    found = numbers("beyond.csv compares it with its start and with other methods.")
    assert found == pytest.approx(expected, abs=0.0501)


def test_the_trial_in_round_numbers():
    table = pd.read_csv(tables.path("beyond"))
    rows = table[table.stage == "unseen"]
    rooms = rows.pivot_table(index="scene", columns=["method", "start"], values="sdr", aggfunc="median")
    gain = rooms.sub(rooms["nothing", "own"], axis=0).median()
    said = {
        ("full rank", "IVA"): 16,
        ("ILRMA", "IVA"): 11,
        ("EM", "IVA"): 11,
        ("FastMNMF2", "IVA"): 7,
        ("FastMNMF2", "own"): 5,
        ("ILRMA", "own"): 5,
        ("AuxIVA", "own"): 0,
    }
    assert {key: int(np.round(gain[key])) for key in said} == said
    assert 11 < gain["start alone", "IVA"] < 12
    for method, start in said:
        assert f"{gain[method, start]:.1f}" in README, (method, start)


def test_the_noise_of_em():
    table = pd.read_csv(tables.path("em_noise"), keep_default_na=False)
    mean = table.groupby(["start", "n_iter", "noise"]).sdr.mean()
    said = [mean["IVA", 0, "none"]]
    said += [mean["IVA", n, noise] for noise in ("diagonal", "anneal", "fixed") for n in (50, 500)]
    assert numbers("Means of the eight scenes from the IVA start") == pytest.approx(said, abs=0.0501)
    for start in ("IVA", "oracle"):
        for n_iter in em_noise.N_ITER:
            here = mean[start, n_iter]
            assert here["isotropic"] == pytest.approx(here["diagonal"], abs=0.1)
            assert here["diagonal"] > here["anneal"] > here["fixed"]


def test_music_in_a_room_needs_a_long_window_and_six_seconds():
    table = pd.read_csv(tables.path("two_microphones_clips"))
    six = table[(table.scene == "room 0.25 s, music") & (table.seconds == 6)].groupby("n_fft").sdr.median()
    assert six.round().astype(int).to_dict() == {1024: 1, 2048: 10, 4096: 12}
