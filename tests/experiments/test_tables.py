import math

import numpy as np
import pytest

from nmflib.experiments import methods, tables
from nmflib.experiments.__main__ import main
from nmflib.experiments.grid import run_grid
from nmflib.experiments.rooms import shoe_box


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder data/results of its own."""
    (tmp_path / "data" / "results").mkdir(parents=True)
    monkeypatch.setenv("NMFLIB_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "results"


def test_a_column_of_numbers_is_read_as_numbers_and_any_other_as_texts(results):
    (results / "t.csv").write_text("method,left_out,seed,sdr,clip\nEM,,0,-1.25,4096\nMU,a voice,1,,2048b\n")
    first, second = tables.read("t")
    assert first == {"method": "EM", "left_out": "", "seed": 0, "sdr": -1.25, "clip": "4096"}
    assert isinstance(first["seed"], int)
    assert (second["left_out"], second["clip"]) == ("a voice", "2048b")
    assert math.isnan(second["sdr"])


def test_a_run_that_failed_is_not_read_and_a_column_without_cells_is_one_of_texts(results):
    (results / "t.csv").write_text('seed,left_out,error\n0,,\n1,,"ValueError: x is 1, not 2"\n')
    assert tables.read("t") == [{"seed": 0, "left_out": ""}]
    (results / "empty.csv").write_text("seed,error\n")
    assert tables.read("empty") == []


def test_what_a_grid_of_experiments_writes_is_read_back(results):
    experiments = [{"scene": "head, talkers", "seed": seed, "gain": 0.1 * seed} for seed in range(3)]
    run_grid(lambda scene, seed, gain: {"sdr": seed / 3}, experiments, tables.path("t"), measures=["sdr"])
    assert tables.read("t") == [experiment | {"sdr": experiment["seed"] / 3} for experiment in experiments]


def test_without_walls_a_microphone_hears_the_source_once_after_its_way_and_weaker_with_distance():
    near, far = [1.0, 2.0, 1.5], [4.43, 2.0, 1.5]
    impulse = np.zeros(4000)
    impulse[0] = 1.0
    room = shoe_box([6.0, 4.0, 3.0], 0, 16000, [near], [[2.0, 2.0, 1.5], far], signals=[impulse])
    image = room.simulate(return_premix=True)[0]
    peaks = np.abs(image).argmax(axis=1)
    assert abs(np.diff(peaks)[0] - 2.43 / 343 * 16000) < 1
    energy = (image**2).sum(axis=1)
    assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(20 * np.log10(3.43), abs=0.1)


def test_walls_prolong_the_response_and_max_order_ends_it():
    size, source, microphone = [5.0, 4.0, 2.6], [1.4, 3.0, 1.2], [2.4, 1.5, 1.2]

    def tail(rt60, max_order=None):
        room = shoe_box(size, rt60, 16000, [source], [microphone], max_order=max_order)
        room.compute_rir()
        h = room.rir[0][0]
        return np.sum(h[np.abs(h).argmax() + 40 :] ** 2) / np.sum(h**2)

    assert tail(0.0) < 0.01 < tail(0.2) < tail(0.5)
    assert tail(0.5, max_order=0) < 0.01


@pytest.mark.parametrize("method", ["EM", "MU", "ILRMA"])
def test_every_method_starts_from_the_images_that_are_given(method):
    rng = np.random.default_rng(0)
    a, s = (rng.standard_normal((2, *shape)) + 1j * rng.standard_normal((2, *shape)) for shape in ((2, 9), (9, 20)))
    s[0, :, :10] *= 0.01
    s[1, :, 10:] *= 0.01
    S = a[..., np.newaxis] * s[:, np.newaxis]
    given = methods.fit(method, S.sum(axis=0), 2, 3, 0, 0, S)
    chance = methods.fit(method, S.sum(axis=0), 2, 3, 0, 0)
    assert given.cost[0] < chance.cost[0]


def test_scores_do_not_depend_on_the_order_of_the_outputs():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((3, 2, 100))
    found = true + 0.1 * rng.standard_normal(true.shape) * np.array([1, 2, 4])[:, None, None]
    assert methods.image_sdr(true, found[[2, 0, 1]]) == methods.image_sdr(true, found)
    np.testing.assert_array_equal(methods.in_order(true, found[[2, 0, 1]]), found)
    assert methods.image_sdr(true, found)[0] == pytest.approx(20, abs=1)


@pytest.mark.parametrize(
    "name",
    [
        *("repairs", "mnmf_speech", "second_path", "two_microphones", "two_microphones_clips"),
        *("beyond", "em_noise", "monte_carlo", "mnmf_music", "panned"),
    ],
)
def test_a_program_finds_its_table_complete_and_leaves_it_as_it_is(name, tmp_path, monkeypatch):
    committed, runs = tables.path(name).read_bytes(), []
    (tmp_path / f"{name}.csv").write_bytes(committed)
    monkeypatch.setattr(tables, "path", lambda name: tmp_path / f"{name}.csv")
    monkeypatch.setattr(f"nmflib.experiments.{name}.measure", lambda **run: runs.append(run) or {})
    main(name)
    assert runs == []
    assert (tmp_path / f"{name}.csv").read_bytes() == committed
