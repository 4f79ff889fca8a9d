import base64
import io
import math
import os
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from PIL import Image

from nmflib.course import claims
from nmflib.course import listen as listening
from nmflib.course.claims import (
    CLAIM_COLUMNS,
    Check,
    claims_markdown,
    claims_summary,
    claims_table,
    read_table,
    verdict,
    write_claims,
)
from nmflib.course.figures import film_strip, show
from nmflib.course.listen import listen
from nmflib.course.scenes import collection

VIEW = "application/vnd.jupyter.widget-view+json"


def figure(width=4.0, **looks):
    fig, ax = plt.subplots(figsize=(width, 2), **looks)
    ax.plot([1, 3, 2])
    return fig


def draw(rank, beta=1.0):
    return figure(), f"cost {rank * beta:.1f}"


def picture_of(output):
    return base64.b64decode(output[0]["image/png"])


# ---------------------------------------------------------------- pictures


def test_show_displays_what_it_publishes_and_closes_the_figure(displayed, publishing):
    fig = figure()
    show(fig, "04_masks", "Two <masks>.")
    (data, metadata), (sentence, _) = displayed
    assert (publishing / "04_masks.png").read_bytes() == base64.b64decode(data["image/png"])
    assert data["text/plain"] == "figures/04_masks.png"
    assert metadata["image/png"]["alt"] == "Two <masks>."
    assert sentence["text/html"] == "<p><em>Two &lt;masks&gt;.</em></p>"
    assert not plt.fignum_exists(fig.number)


def test_the_same_figure_gives_the_same_bytes(displayed, not_publishing):
    for _ in range(2):
        show(figure(), "04_masks", "Lines.")
    assert picture_of(displayed[0]) == picture_of(displayed[2])
    assert b"Software" not in picture_of(displayed[0])


def test_nothing_is_written_unless_publishing(displayed, not_publishing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(collection().glob("figures/**/*"))
    show(figure(), "04_test", "Lines.")
    listen({"a": np.ones(100)}, 8000, "04_test")
    verdict("C4", Check("SDR", 1.0, ">=", 0.0))
    film_strip(draw, "04_strip", "Lines.", rank=[1, 2])
    assert os.listdir(tmp_path) == []
    assert sorted(collection().glob("figures/**/*")) == before


@pytest.mark.parametrize("name", ["masks", "4_masks", "04masks", "04_Masks", "04_../x", "04_"])
def test_names_begin_with_the_chapter(name, displayed, publishing):
    with pytest.raises(ValueError, match="name is"):
        show(figure(), name, "Lines.")
    with pytest.raises(ValueError, match="name is"):
        listen({"a": np.ones(9)}, 8000, name)


def test_a_picture_needs_an_alternative_text(displayed, publishing):
    with pytest.raises(ValueError, match="alt"):
        show(figure(), "04_masks", " ")


@pytest.mark.parametrize(
    ("width", "count", "columns"),
    [(4.0, 1, 1), (4.0, 3, 3), (4.0, 4, 2), (4.0, 5, 3), (6.4, 3, 2), (9.0, 3, 1), (14.0, 2, 1)],
)
def test_a_film_strip_is_legible_at_900_pixels(width, count, columns, displayed, publishing):
    film_strip(lambda rank: figure(width), "04_strip", "Lines.", rank=list(range(count)))
    with Image.open(publishing / "04_strip.png") as image:
        strip = image.convert("RGB")
    frame_width = (strip.width - 12 * (columns - 1)) / columns
    frame_height, rows = frame_width * 2 / width, math.ceil(count / columns)
    assert 0.6 * min(900, 100 * width) <= frame_width <= min(900, 100 * width)
    assert strip.height == pytest.approx(rows * (frame_height + 20 + 12), abs=2 * rows)
    assert displayed[0][0]["text/plain"].splitlines() == [
        "figures/04_strip.png",
        *(f"rank = {i}" for i in range(count)),
    ]


def test_a_film_strip_says_values_and_text(displayed, publishing):
    film_strip(draw, "04_strip", "Lines.", rank=[1, 2, 4], beta=0.5)
    assert displayed[0][0]["text/plain"].splitlines()[1:] == [f"rank = {r}: cost {r / 2:.1f}" for r in (1, 2, 4)]


def test_a_film_strip_says_where_its_frames_lie(displayed, publishing):
    def level(grey):
        return figure(6.4, facecolor=str(grey)), "" if grey else "black"

    film_strip(level, "04_strip", "Greys.", grey=[0.0, 0.5, 1.0])
    frames = displayed[0][1]["image/png"]["frames"]
    assert [frame["values"] for frame in frames] == [{"grey": "0"}, {"grey": "0.5"}, {"grey": "1"}]
    assert [frame["text"] for frame in frames] == ["black", "", ""]
    with Image.open(publishing / "04_strip.png") as image:
        strip = image.convert("RGB")
    for frame, grey in zip(frames, (0, 127, 255), strict=True):
        left, top, width, height = frame["box"]
        corners = [(left, top), (left + width - 1, top), (left, top + height - 1), (left + width - 1, top + height - 1)]
        assert [abs(strip.getpixel(corner)[0] - grey) <= 1 for corner in corners] == [True] * 4


def test_sequences_of_a_film_strip_are_taken_together(displayed, publishing):
    film_strip(draw, "04_strip", "Lines.", rank=[1, 2], beta=np.array([0.5, 2.0]))
    assert displayed[0][0]["text/plain"].splitlines()[1:] == [
        "rank = 1, beta = 0.5: cost 0.5",
        "rank = 2, beta = 2: cost 4.0",
    ]


@pytest.mark.parametrize("values", [{"rank": 1}, {"rank": [1, 2], "beta": [1.0]}, {"rank": []}, {}])
def test_a_film_strip_needs_values_of_one_length(values, displayed, publishing):
    with pytest.raises(ValueError, match="values"):
        film_strip(draw, "04_strip", "Lines.", **values)


@pytest.mark.parametrize("result", [None, "text", (), ("text", 1), (1, 2, 3, 4)])
def test_draw_must_return_a_figure(result, displayed, publishing):
    with pytest.raises(ValueError, match="draw returned"):
        film_strip(lambda rank: result, "04_strip", "Lines.", rank=[1])


# ---------------------------------------------------------------- sounds


def test_listen_publishes_what_it_links_to(displayed, publishing):
    t = np.arange(16000) / 16000
    sounds = {"Voix été": 0.2 * np.sin(2 * np.pi * 440 * t), "quiet": np.full((2, 8000), 0.02)}
    listen(sounds, 16000, "06_notes")
    (data, _) = displayed[0]
    for file, channels in (("06_notes_voix_ete.mp3", 1), ("06_notes_quiet.mp3", 2)):
        sound, rate = soundfile.read(publishing / "audio" / file, always_2d=True)
        assert rate == 16000
        assert sound.shape[1] == channels
        assert data["text/html"].count(f'"../figures/audio/{file}"') == 2
    assert data["text/plain"].splitlines() == [
        "Voix été: 1.0 s, peak −1 dBFS, RMS −4 dBFS",
        "quiet: 0.5 s, peak −21 dBFS, RMS −21 dBFS",
    ]
    assert VIEW not in data


def test_a_player_and_its_link_share_a_cell(displayed, publishing):
    listen({"tone": np.ones(900)}, 8000, "06_notes")
    table = displayed[0][0]["text/html"]
    assert re.findall(r"<th>(.*?)</th>", table) == ["sound", "listen", "length", "level"]
    cells = re.findall(r"<td>(.*?)</td>", table)
    assert len(cells) == 3
    assert "<audio " in cells[0] and ">MP3</a>" in cells[0]


@pytest.mark.parametrize(
    ("settings", "link"),
    [
        ('[tool.nmflib]\nrepository = ""\n', "../figures/audio/06_notes_tone.mp3"),
        ('[tool.nmflib]\nrepository = "https://github.com/someone/nmf/"\n',
         "https://github.com/someone/nmf/raw/main/figures/audio/06_notes_tone.mp3"),
        ("[tool.other]\n", "../figures/audio/06_notes_tone.mp3"),
        (None, "../figures/audio/06_notes_tone.mp3"),
    ],
)  # fmt: skip
def test_the_link_is_absolute_once_there_is_an_address(
    settings, link, displayed, not_publishing, tmp_path, monkeypatch
):
    if settings is not None:
        (tmp_path / "pyproject.toml").write_text(settings)
    monkeypatch.setattr(listening, "collection", lambda: tmp_path)
    listen({"tone": np.ones(900)}, 8000, "06_notes")
    table = displayed[0][0]["text/html"]
    assert f'href="{link}"' in table
    assert 'src="../figures/audio/06_notes_tone.mp3"' in table


def test_run_live_the_players_hold_what_was_just_computed(displayed, not_publishing, monkeypatch):
    boxes, players = [], listening.players
    monkeypatch.setattr(listening, "players", lambda sounds: boxes.append(players(sounds)) or boxes[-1])
    for tone in (3, 7):
        listen({"tone": np.sin(np.arange(4000) / tone)}, 8000, "06_notes")
    for (data, _), box, tone in zip(displayed, boxes, (3, 7), strict=True):
        assert set(data) == {"text/html", "text/plain", VIEW}
        assert data[VIEW]["model_id"] == box.model_id
        heard, rate = soundfile.read(io.BytesIO(box.children[0].children[1].value))
        assert rate == 8000
        np.testing.assert_allclose(heard, 10 ** (-1 / 20) * np.sin(np.arange(4000) / tone), atol=1e-3)


def test_players_keep_relative_levels():
    x = np.sin(np.arange(4000) / 7)
    scaled = listening.common_gain({"loud": 1e6 * x, "soft": 1e5 * x})
    box = listening.players({label: (sound, 8000) for label, sound in scaled.items()})
    heard = [soundfile.read(io.BytesIO(row.children[1].value))[0] for row in box.children]
    assert [row.children[0].value for row in box.children] == ["loud", "soft"]
    assert np.abs(heard[0]).max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)
    np.testing.assert_allclose(heard[1], heard[0] / 10, atol=1e-4)
    assert not any(row.children[1].autoplay or row.children[1].loop for row in box.children)


@pytest.mark.parametrize("scale", [0.0, 1e-320, 1e-200, 1e300])
def test_silent_tiny_and_huge_sounds_can_be_listened_to(scale, displayed, publishing):
    listen({"a": scale * np.ones(1000), "none": np.zeros(1000)}, 8000, "06_notes")
    lines = displayed[0][0]["text/plain"].splitlines()
    assert lines == ["a: 0.1 s, silent" if scale == 0 else "a: 0.1 s, peak −1 dBFS, RMS −1 dBFS", "none: 0.1 s, silent"]
    assert np.isfinite(soundfile.read(publishing / "audio" / "06_notes_a.mp3")[0]).all()


@pytest.mark.parametrize(
    ("sounds", "rate", "message"),
    [
        ({}, 8000, "empty"),
        ({"a": np.ones((3, 10))}, 8000, "one or two channels"),
        ({"a": np.ones(0)}, 8000, "at least one sample"),
        ({"a": np.array([1, np.nan])}, 8000, "1 values that are not finite"),
        ({"a": np.ones(9)}, 10000, "sample_rate is 10000"),
        ({"a b": np.ones(9), "a_b": np.ones(9)}, 8000, "same file name"),
        ({"β": np.ones(9)}, 8000, "no letter"),
    ],
)
def test_what_cannot_be_listened_to(sounds, rate, message, displayed, publishing):
    with pytest.raises(ValueError, match=message):
        listen(sounds, rate, "06_notes")


# ---------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((30, 26), "holds"),
        ((30, 20), "holds in part"),
        ((1, math.nan), "does not hold"),
        ((math.inf, 0), "does not hold"),
    ],
)
def test_the_verdict_follows_from_the_checks(values, expected, displayed, publishing):
    verdict("C4", *(Check(f"SDR {i}", value, ">=", 25, "dB") for i, value in enumerate(values)), why="Because.")
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
        verdict(claim, Check("x", value, ">", 0))
    rows = read_table(publishing / "claims.csv")
    assert [(row["claim"], row["verdict"]) for row in rows] == [("C4", "holds"), ("C10", "does not hold")]


def test_bad_verdicts(displayed, publishing):
    with pytest.raises(ValueError, match="claim is 'C19'"):
        verdict("C19", Check("x", 1, ">", 0))
    with pytest.raises(ValueError, match="at least one case"):
        verdict("C4")
    with pytest.raises(ValueError, match="relation is '=='"):
        Check("x", 1, "==", 0)
    with pytest.raises(ValueError, match="threshold is nan"):
        Check("x", 1, ">", math.nan)
    with pytest.raises(ValueError, match="semicolon"):
        Check("x; y", 1, ">", 0)


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
        "verdict": "holds in part",
    }
    write_claims(tmp_path / "figures" / "claims.csv", [row])
    lines = claims_markdown(tmp_path).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == [f"| C{i}" for i in range(1, 19)]
    assert sum("not yet on trial" in line for line in lines) == 17
    assert "a: 1 dB (needed: ≥ 0 dB)<br>\\|b\\|: 2 (needed: ≤ 1)" in lines[3]
    assert "[04](notebooks/04_sine_simulation.ipynb)" in lines[3]
    assert lines[3].endswith("◐ holds in part |")
    short = claims_summary(tmp_path).splitlines()[2:]
    assert len(short) == 18
    assert all(len(re.split(r"(?<!\\)\|", line)) == 6 for line in short)
    assert short[3].endswith("| ◐&nbsp;in&nbsp;part | [04](notebooks/04_sine_simulation.ipynb) |")
    assert not any("«" in line or "needed" in line for line in short)
    row["verdict"] = "holds for one, not for two"
    write_claims(tmp_path / "figures" / "claims.csv", [row])
    assert "| ◐&nbsp;for one, not for two | [04]" in claims_summary(tmp_path)
    write_claims(tmp_path / "figures" / "claims.csv", [row | {"verdict": "holds in part"}])
    claims_table()
    assert displayed[0][0]["text/markdown"] == claims_markdown(links="")


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


def test_a_verdict_needs_a_case_or_a_check(displayed):
    with pytest.raises(ValueError, match="needs at least one case"):
        verdict("C4", CASES["two talkers"], cases={})
