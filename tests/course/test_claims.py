"""Verdicts on the claims of the talk, their file and their table."""

import math
import re

import numpy as np
import pytest

from nmflib.course import claims, scenes
from nmflib.course.claims import (
    CLAIM_COLUMNS,
    Check,
    claims_markdown,
    claims_summary,
    claims_table,
    clips_table,
    read_table,
    slides_table,
    verdict,
    write_claims,
)
from nmflib.course.scenes import collection, manifest


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((30, 26), "holds"),
        ((30, 20), "holds for SDR 0, not for SDR 1"),
        ((1, math.nan), "does not hold"),
        ((math.inf, 0), "does not hold"),
    ],
)
def test_the_verdict_follows_from_the_checks(values, expected, displayed, publishing):
    cases = {f"SDR {i}": Check("found", value, ">=", 25, "dB") for i, value in enumerate(values)}
    verdict("C4", cases=cases, why="Because.")
    (row,) = read_table(publishing / "claims.csv")
    assert row["verdict"] == expected
    assert row["notebook"] == "04_sine_simulation"
    data = displayed[0][0]
    assert data["text/plain"].splitlines() == [f"{column}: {row[column]}" for column in CLAIM_COLUMNS]
    assert expected in data["text/html"]
    assert "Because." in data["text/html"]
    assert "Les colonnes de la matrice" in data["text/html"]


@pytest.mark.parametrize(
    ("value", "relation", "threshold", "holds"),
    [
        (1, ">=", 1, True),
        (1, ">", 1, False),
        (1, "<=", 1, True),
        (1, "<", 1, False),
        (2, "<", 1, False),
        (0, "<", 1, True),
        (-math.inf, "<", 1, False),
        (math.nan, "<=", 1, False),
        (np.float32(2), ">", 1, True),
    ],
)
def test_relations(value, relation, threshold, holds):
    assert Check("x", value, relation, threshold).holds is holds


@pytest.mark.parametrize(
    ("value", "relation", "threshold", "shown"),
    [
        (12.3456, ">=", 10, "12.3"),
        (-17161, "<", 0, "-17161"),
        (2e-15, "<=", 1e-12, "above 0 by less than 1e-12"),
        (-2e-15, "<=", 1e-3, "below 0 by less than 1e-9"),
        (3e-17, ">=", 0, "above 0 by less than 1e-9"),
        (-3e-17, ">=", 0, "below 0 by less than 1e-9"),
        (0.0, ">=", 0, "0"),
        (5e-11, "<=", 1e-12, "5e-11"),
        (math.nan, "<=", 1e-12, "nan"),
    ],
)
def test_digits_of_rounding_errors_are_not_shown(value, relation, threshold, shown):
    assert Check("x", value, relation, threshold).shown_value == shown


def test_a_verdict_replaces_its_row_and_rows_are_in_order(displayed, publishing):
    for claim, value in (("C10", 1), ("C4", 1), ("C10", -1)):
        verdict(claim, cases={"x": Check("x", value, ">", 0)})
    rows = read_table(publishing / "claims.csv")
    assert [(row["claim"], row["verdict"]) for row in rows] == [("C4", "holds"), ("C10", "does not hold")]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: verdict("C19", cases={"x": Check("x", 1, ">", 0)}), "claim is 'C19'; it must be one of C1, C2"),
        (lambda: verdict("C4", Check("x", 1, ">", 0), cases={}), "needs at least one case"),
        (lambda: verdict("C4", cases={"a; b": Check("x", 1, ">", 0)}), "semicolon"),
        (lambda: Check("x", 1, "==", 0), "relation is '=='"),
        (lambda: Check("x", 1, ">", math.nan), "threshold is nan"),
        (lambda: Check("x; y", 1, ">", 0), "semicolon"),
    ],
)
def test_bad_verdicts(call, message, displayed, publishing):
    with pytest.raises(ValueError, match=message):
        call()


def test_verdicts_that_cannot_be_written_leave_the_file_as_it_was(tmp_path):
    file = tmp_path / "claims.csv"
    row = dict.fromkeys(CLAIM_COLUMNS, "") | {"claim": "C4"}
    write_claims(file, [row])
    before = file.read_bytes()
    with pytest.raises(ValueError, match="note"):
        write_claims(file, [row, row | {"note": "a column more"}])
    assert file.read_bytes() == before


def test_the_table_of_claims_has_all_and_says_what_is_not_yet_on_trial(displayed, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "figures").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "04_sine_simulation.ipynb").touch()
    (tmp_path / "data" / "talk_claims.csv").write_bytes((collection() / "data" / "talk_claims.csv").read_bytes())
    row = dict.fromkeys(CLAIM_COLUMNS, "") | {
        "claim": "C4",
        "notebook": "04_sine_simulation",
        "measure": "a; |b|",
        "value": "1 dB; 2",
        "threshold": "≥ 0 dB; ≤ 1",
        "verdict": "holds for one, not for two",
    }
    write_claims(tmp_path / "figures" / "claims.csv", [row])
    lines = claims_markdown(tmp_path).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| C{i}" for i in range(1, 19)]
    assert sum("not yet on trial" in line for line in lines) == 17
    assert "a: 1 dB (needed: ≥ 0 dB)<br>\\|b\\|: 2 (needed: ≤ 1)" in lines[3]
    assert "[04](notebooks/04_sine_simulation.ipynb)" in lines[3]
    assert lines[3].endswith("◐ holds for one, not for two |")
    short = claims_summary(tmp_path).splitlines()[2:]
    assert len(short) == 18
    assert all(len(re.split(r"(?<!\\)\|", line)) == 6 for line in short)
    assert short[3].endswith("| ◐&nbsp;for one, not for two | [04](notebooks/04_sine_simulation.ipynb) |")
    assert not any("«" in line or "needed" in line for line in short)
    claims_table()
    shown = displayed[0][0]["text/markdown"]
    assert shown == claims_summary(links="")
    assert "| [04](04_sine_simulation.ipynb) |" in shown


@pytest.mark.parametrize("folder", ["absent/data", "empty"])
@pytest.mark.parametrize(
    "call",
    [
        lambda: verdict("C4", cases={"x": Check("x", 1, ">", 0)}),
        claims_table,
        slides_table,
        lambda: read_table(scenes.data_folder() / "talk_slides.csv"),
        lambda: scenes.load("piano_mary"),
        lambda: scenes.stereo_scene("piano_hands"),
    ],
    ids=["verdict", "claims_table", "slides_table", "read_table", "load", "stereo_scene"],
)
def test_without_the_collection_a_sentence_says_where_it_is_looked_for(call, folder, displayed, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("NMFLIB_DATA", str(tmp_path / folder))
    with pytest.raises(FileNotFoundError, match=rf"{folder}.* is missing: .* set NMFLIB_DATA"):
        call()
    assert displayed == []


def test_only_the_verdicts_that_nobody_published_yet_may_be_missing(tmp_path):
    assert read_table(tmp_path / "claims.csv") == []
    for missing in (tmp_path / "bench.csv", tmp_path / "absent" / "claims.csv"):
        with pytest.raises(FileNotFoundError, match="NMFLIB_DATA"):
            read_table(missing)


@pytest.mark.parametrize(("where", "given"), [(".", "data"), ("data", ".")])
def test_the_data_folder_may_be_given_from_where_one_is(where, given, displayed, monkeypatch):
    root = collection()
    monkeypatch.chdir(root / where)
    monkeypatch.setenv("NMFLIB_DATA", given)
    assert collection() == root
    assert scenes.load("tabla_cc0")[1] == 16000
    verdict("C4", cases={"x": Check("x", 1, ">", 0)})
    assert "verdict: holds" in displayed[0][0]["text/plain"]


CASES = {"two talkers": Check("SDR", 12.0, ">=", 10, "dB"), "three talkers": Check("SDR", 8.0, ">=", 10, "dB")}


@pytest.mark.parametrize(
    ("names", "outcome"),
    [
        (["two talkers"], "holds"),
        (["three talkers"], "does not hold"),
        (["two talkers", "three talkers"], "holds for two talkers, not for three talkers"),
    ],
)
def test_one_check_decides_each_case_and_context_decides_nothing(names, outcome, displayed, publishing):
    for context in (1.0, 99.0):
        verdict("C4", Check("correlation", context, ">=", 50), cases={name: CASES[name] for name in names})
        (row,) = read_table(publishing / "claims.csv")
        assert row["verdict"] == outcome
        assert row["measure"].split("; ") == [*(f"{name}: SDR" for name in names), "correlation"]
    html = displayed[0][0]["text/html"]
    assert html.count("(context)") == 1 and f"Verdict C4: {claims.mark(outcome)} {outcome}" in html


def test_every_notebook_named_beside_a_slide_is_there(displayed):
    slides_table()
    table = displayed[0][0]["text/markdown"]
    links = re.findall(r"\]\((.+?\.ipynb)\)", table)
    assert len(links) == len(table.splitlines()) - 2
    assert [link for link in links if not (collection() / "notebooks" / link).is_file()] == []


def test_the_table_of_clips_calls_simulated_what_is_simulated(displayed):
    clips_table()
    table = displayed[0][0]["text/markdown"]
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()[2:]}
    assert lines.keys() == manifest().keys()
    simulated = {name for name, line in lines.items() if "simulated" in line}
    assert simulated == {name for name in manifest() if name.startswith("room_")}
    assert "measured responses" in lines["kemar_two_talkers_image1"]
    assert "set in sequence" in lines["piano_mary"]
    assert "recording or studio track" in lines["speech_en_f"]
