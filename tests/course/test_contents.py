import re

import pytest

from nmflib.course.contents import clips_table, slides_table
from nmflib.course.scenes import collection, manifest


@pytest.fixture
def displayed(monkeypatch):
    tables = []
    monkeypatch.setattr("nmflib.course.contents.display_bundle", lambda data: tables.append(data["text/markdown"]))
    return tables


def test_every_notebook_named_beside_a_slide_is_there(displayed):
    slides_table()
    (table,) = displayed
    links = re.findall(r"\]\((.+?\.ipynb)\)", table)
    assert len(links) == len(table.splitlines()) - 2
    assert [link for link in links if not (collection() / "notebooks" / link).is_file()] == []


def test_the_table_of_clips_calls_simulated_what_is_simulated(displayed):
    clips_table()
    (table,) = displayed
    lines = {line.split(" | ")[0].strip("| "): line for line in table.splitlines()[2:]}
    assert lines.keys() == manifest().keys()
    simulated = {name for name, line in lines.items() if "simulated" in line}
    assert simulated == {name for name in manifest() if name.startswith("room_")}
    assert "measured responses" in lines["kemar_two_talkers_image1"]
    assert "set in sequence" in lines["piano_mary"]
    assert "recording or studio track" in lines["speech_en_f"]
