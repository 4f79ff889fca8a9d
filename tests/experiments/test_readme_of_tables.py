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


@pytest.fixture(scope="module")
def blind():
    return pd.read_csv(tables.path("blind_start"))


def summary(rooms):
    return [rooms.mean(), rooms.median()]


@pytest.mark.parametrize("half", ["tuning", "unseen"])
@pytest.mark.parametrize(("n_sources", "n_rooms"), [(2, 18), (3, 6)])
def test_blind_start(n_sources, n_rooms, half, blind):
    rows = blind[(blind.n_sources == n_sources) & blind.scene.str.startswith(half)]
    rooms = rows.pivot_table(index=["scene", "rt60"], columns="method", values="sdr", aggfunc="median")
    assert len(rooms) == n_rooms
    if n_sources == 3:
        start = f"| {half} | 5.3 / "  # the clusters alone are not in the table
        expected = [value for name in ("blind", "blind+EM", "blind+MU") for value in summary(rooms[name])]
        assert numbers(start)[1:] == pytest.approx(expected, abs=0.0501)
        return
    start = f"| {half} | 4."
    fast = ["FastMNMF2"] if half == "unseen" else []
    names = ["auxiva", "ilrma", *fast, "blind", "blind+EM", "blind+MU"]
    expected = [value for name in names for value in summary(rooms[name])] + list(rooms.blind.groupby("rt60").median())
    (line,) = [line for line in README.splitlines() if line.startswith(start)]
    found = [float(word) for word in re.findall(r"\d+\.\d+", line)]
    below = (rooms.ilrma - rooms.blind)[lambda excess: excess > 0].sort_values(ascending=False)
    assert found == pytest.approx([*expected, *below], abs=0.0501)


def test_seeds_of_the_blind_start(blind):
    for half, n_apart in (("unseen", 3), ("tuning", 8)):
        rows = blind[(blind.n_sources == 2) & (blind.method == "blind") & blind.scene.str.startswith(half)]
        seeds = rows.groupby("scene").sdr.agg(["min", "max", "count"])
        assert (seeds["count"] == 5).all() and ((seeds["max"] - seeds["min"]) > 1).sum() == n_apart
        assert f"{seeds['min'].mean():.1f} on the {half} rooms" in README.replace("\n", " ")


@pytest.mark.parametrize("half", ["tuning", "unseen"])
@pytest.mark.parametrize(("n_sources", "n_channels", "name"), [(2, 2, "2 sources"), (3, 2, "3 on 2"), (3, 3, "3 on 3")])
def test_recordings(n_sources, n_channels, name, half, blind):
    table = pd.read_csv(tables.path("recordings"))
    size = (table.n_sources == n_sources) & (table.n_channels == n_channels)
    rows = table[size & (table.half == half) & (table.rate == 16000)].set_index("scene")
    expected, found = [*summary(rows.sdr), *rows.groupby("rt60").sdr.median()], numbers(f"| {name}, {half} |")
    if n_channels == 3:
        assert len(rows) == 6 and found == pytest.approx(expected, abs=0.0501)
        return
    start = blind[(blind.method == "blind") & (blind.run == 0) & (blind.n_sources == n_sources)].set_index("scene").sdr
    expected = [start[rows.index].mean(), *expected, *(x for x in start[rows.index] - rows.sdr if x > 2)]
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
