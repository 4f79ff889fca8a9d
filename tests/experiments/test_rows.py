"""A row of every table, measured again: a table that an older version of its program wrote would be found."""

import math
from importlib import import_module

import pytest

from nmflib.experiments import tables

ROWS = {
    "beyond": {"stage": "unseen", "scene": "unseen_2_01", "method": "start alone", "seed": 0},
    "em_noise": {"scene": "room, speech", "start": "IVA", "noise": "diagonal", "n_iter": 50, "seed": 0},
    "mnmf_music": {"scene": "piano_hands", "method": "MU", "start": "oracle", "n_components": 8},
    "mnmf_speech": {"scene": "room.13 en_f+fr_f", "n_outputs": 3, "method": "start alone", "n_fft": 2048},
    "monte_carlo": {"scene": "room, 3 instruments", "n_channels": 2, "method": "start", "n_fft": 1024, "seed": 16},
    "panned": {"scene": "unseen_3_07", "method": "l0"},
    "recordings": {"scene": "unseen_2_01", "rate": 16000},
    "repairs": {"method": "speech known", "n_fft": 4096, "speech_rank": 50, "music_rank": 10, "seed": 0},
    "second_path": {"scene": "room_music_guitar"},
    "two_microphones": {"rt60": 0.5, "distance": 1.0, "spacing": 0.8, "method": "IVA start", "missing": ""},
    "two_microphones_clips": {"scene": "dummy head, talkers", "n_fft": 1024, "seconds": 2},
}


def test_every_table_of_a_program_has_its_row_here():
    written = {path.stem for path in tables.path("panned").parent.glob("*.csv")} - {"sisec"}  # of tools/sisec.py
    assert set(ROWS) == written


@pytest.mark.parametrize("name", ROWS)
def test_the_program_of_a_table_measures_what_the_table_says(name):
    module = import_module(f"nmflib.experiments.{name}")
    stages = getattr(module, "STAGES", None) or [module.experiments]
    every = (experiment for stage in stages for experiment in stage())
    experiment = next(e for e in every if ROWS[name].items() <= e.items())
    (row,) = [row for row in tables.read(name) if experiment.items() <= row.items()]
    measured = module.measure(**experiment)
    assert measured and set(measured) <= set(module.MEASURES)
    for key in set(measured) - {"seconds"}:
        expected = row[key] if row[key] != "" else math.nan
        assert measured[key] == pytest.approx(expected, abs=0.05, nan_ok=True), key
