"""Rows of monte_carlo.csv, computed again; and what chapter 13 says of the table."""

import numpy as np
import pytest

from nmflib.experiments import monte_carlo, tables

KEYS = ("scene", "n_sources", "n_channels", "method", "init", "components", "n_iter", "seed")


def rows(**wanted):
    return [row for row in tables.read("monte_carlo") if all(row[key] == value for key, value in wanted.items())]


def gain(row):
    """Mean SDR over the sources, in dB above what doing nothing gives."""
    return np.nanmean([row[f"sdr_{j}"] for j in (1, 2, 3)]) - 10 * np.log10(row["n_sources"] / (row["n_sources"] - 1))


@pytest.mark.parametrize(
    ("scene", "n_channels", "method", "init"),
    [
        ("head, speech", 2, "start", "blind"),
        ("room, music", 2, "MU", "random"),
        ("room, speech", 2, "EM", "blind"),
        ("room, 3 talkers", 2, "start", "blind"),
    ],
)
def test_rows_of_the_table_are_found_again(scene, n_channels, method, init):
    row = rows(scene=scene, n_channels=n_channels, method=method, init=init, seed=1)[0]
    now = monte_carlo.measure(**{key: row[key] for key in KEYS})
    assert np.mean([now[f"sdr_{j}"] for j in range(1, row["n_sources"] + 1)]) == pytest.approx(
        np.nanmean([row[f"sdr_{j}"] for j in (1, 2, 3)]), abs=0.5
    )


def test_the_table_is_what_the_protocol_asks_for():
    asked = {tuple(experiment[key] for key in KEYS) for experiment in monte_carlo.experiments()}
    assert {tuple(row[key] for key in KEYS) for row in tables.read("monte_carlo")} == asked


@pytest.mark.parametrize("scene", monte_carlo.SCENES)
def test_em_adds_less_than_a_decibel_to_its_start_and_loses_from_random_values(scene):
    n = monte_carlo.SCENES[scene]
    alone, em = (
        np.median([gain(row) for row in rows(scene=scene, n_channels=n, method=method, init="blind")])
        for method in ("start", "EM")
    )
    random = [gain(row) for row in rows(scene=scene, n_channels=n, method="EM", init="random", n_iter=50)]
    assert em < alone + 1
    assert np.median(random) < 0
