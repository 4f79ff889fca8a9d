"""Rows of monte_carlo.csv, computed again; and what chapter 13 and the README say of the table."""

import itertools
import re

import numpy as np
import pytest

from nmflib.experiments import draws, monte_carlo, tables

KEYS = ("scene", "n_sources", "n_channels", "method", "init", "n_fft", "components", "n_iter", "seed")
README = tables.path("monte_carlo").with_name("README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table():
    return monte_carlo.read()


@pytest.mark.parametrize(
    ("scene", "n_channels", "method", "init"),
    [
        ("head, speech", 2, "start", "blind"),
        ("room, music", 2, "MU", "random"),
        ("room, speech", 2, "EM", "blind"),
        ("room, 3 talkers", 2, "start", "blind"),
        ("panned, 3 instruments", 2, "EM", "random"),
        ("room, speech", 2, "full rank", "blind"),
    ],
)
def test_rows_of_the_table_are_found_again(scene, n_channels, method, init):
    wanted = {"scene": scene, "n_channels": n_channels, "method": method, "init": init, "seed": 1}
    row = next(row for row in tables.read("monte_carlo") if all(row[key] == value for key, value in wanted.items()))
    now = monte_carlo.measure(**{key: row[key] for key in KEYS})
    assert np.mean([now[f"sdr_{j}"] for j in range(1, row["n_sources"] + 1)]) == pytest.approx(
        np.nanmean([row[f"sdr_{j}"] for j in (1, 2, 3)]), abs=0.5
    )


def test_the_table_is_what_the_protocol_asks_for():
    asked = {tuple(run[key] for key in KEYS) for stage in monte_carlo.STAGES for run in stage()}
    assert {tuple(row[key] for key in KEYS) for row in tables.read("monte_carlo")} == asked


def test_the_windows_are_chosen_on_draws_that_are_not_reported(table):
    assert set(monte_carlo.SEEDS).isdisjoint(monte_carlo.TUNING)
    assert set(table.seed) == set(monte_carlo.SEEDS)
    assert {run["seed"] for run in monte_carlo.windows()} == set(monte_carlo.TUNING)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scene", ["panned, 2 talkers", "panned, 3 instruments"])
def test_a_panned_source_has_one_direction_and_directions_are_apart(scene, seed):
    x = monte_carlo.images(scene, 2, seed)
    covariances = x @ x.swapaxes(1, 2)
    np.testing.assert_allclose(np.linalg.det(covariances), 0, atol=1e-9 * np.trace(covariances[0]) ** 2)
    angles = np.rad2deg(np.arctan2(np.linalg.norm(x[:, 1], axis=1), np.linalg.norm(x[:, 0], axis=1)))
    assert np.diff(np.sort(angles)).min() > draws.LEAST
    power = (x**2).sum(axis=(1, 2))
    np.testing.assert_allclose(power, power[0])


def test_a_gain_is_above_half_or_a_third_of_the_mixture_for_each(table):
    for scene, n in (("panned, 2 talkers", 2), ("panned, 3 talkers", 3)):
        x = monte_carlo.images(scene, 2, 0)
        error = x - x.sum(axis=0) / n
        nothing = 10 * np.log10((x**2).sum(axis=(1, 2)) / (error**2).sum(axis=(1, 2))).mean()
        assert table[table.scene == scene].nothing.iloc[0] == pytest.approx(
            nothing, abs=0.5
        )  # clips correlate a little


def test_em_adds_less_than_a_decibel_to_its_start_in_the_same_window(table):
    runs = table[(table.method == "EM") & (table.init == "found")]
    assert runs.added.notna().all()
    assert runs.groupby(["scene", "n_channels"]).added.median().max() < 1


def test_random_values_lose_in_rooms_and_gain_in_panned_scenes(table):
    runs = table[(table.method == "EM") & (table.init == "random") & (table.n_iter != 300)]
    medians = runs.groupby(["case", "kind"]).gain.median()
    panned = medians.index.get_level_values("case").str.contains("panned")
    assert (medians[~panned] < 0).all()
    assert (medians[panned] > 0).all()


def test_the_readme_gives_the_gains_of_the_table(table):
    section = README.split("# monte_carlo.csv")[1].split("\n# ")[0]
    gains = table[(table.n_iter != 300) & (table.components != 1)].groupby(["case", "kind", "method", "init"]).gain
    quartiles = gains.quantile([0.25, 0.5, 0.75]).unstack()
    rows = re.findall(r"(?m)^\| ((?:n = N|\d on \d).*?), (speech|music) \|(.*)\|$", section)
    assert {row[:2] for row in rows} == set(itertools.product(table.case.unique(), ("speech", "music")))
    for case, kind, cells in rows:
        ways = [("EM", "random"), ("start", "found"), ("full rank", "found")]
        expected = [quartiles.loc[key] for way in ways if (key := (case, kind, *way)) in quartiles.index]
        found = [float(number) for number in re.findall(r"-?\d+\.\d", cells.replace("−", "-"))]
        assert found == pytest.approx([row[q] for row in expected for q in (0.5, 0.25, 0.75)], abs=0.0501)
