"""Tables of players: what is heard, what is published under which names, what is refused."""

import io
import re

import numpy as np
import pytest
import soundfile

from nmflib.course import listen as listening
from nmflib.course.listen import listen

VIEW = "application/vnd.jupyter.widget-view+json"


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


LABELS = [
    "гитара", "гитара 1", "скрипка 1", "吉他", "قيثارة", "κιθάρα", "🎸", "", "Voix été", "voix_ete", "a b", "a_b",
    "A B", "β = 0", "x" * 300, "x" * 301, "../up", "CON",
]  # fmt: skip


def test_labels_of_any_script_have_file_names_in_ascii_of_their_own_the_same_every_time(displayed, publishing):
    for _ in range(2):
        listen({label: np.full(800, 0.1) for label in LABELS}, 8000, "06_notes")
    files = sorted(path.name for path in (publishing / "audio").iterdir())
    assert len(files) == len(LABELS)
    assert all(re.fullmatch(r"06_notes_[a-z0-9_]{1,100}\.mp3", name) for name in files)
    for data, _ in displayed:
        shown = re.findall(r'<audio [^>]*src="\.\./figures/audio/([^"]+)"', data["text/html"])
        assert sorted(shown) == files
    assert {"06_notes_1.mp3", "06_notes_0.mp3", "06_notes_up.mp3"} <= set(files)


@pytest.mark.parametrize(
    ("sounds", "rate", "message"),
    [
        ({}, 8000, "empty"),
        ({"a": np.ones((3, 10))}, 8000, "one or two channels"),
        ({"a": np.ones((2, 2, 10))}, 8000, r"has shape \(2, 2, 10\)"),
        ({"a": np.ones((10, 2))}, 8000, r"sounds\['a'\] has shape \(10, 2\): more channels than samples"),
        ({"a": np.ones(0)}, 8000, "it needs samples"),
        ({"a": np.array([1, np.nan])}, 8000, "1 samples that are NaN or infinite"),
        ({"a": 1j * np.ones(9)}, 8000, "complex"),
        ({"a": np.ones(9)}, 10000, "sample_rate is 10000"),
    ],
)
def test_what_cannot_be_listened_to(sounds, rate, message, displayed, publishing):
    with pytest.raises(ValueError, match=message):
        listen(sounds, rate, "06_notes")
    assert list(publishing.iterdir()) == []
