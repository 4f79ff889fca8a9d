import base64
import io
import re
from datetime import UTC, datetime

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile

import nmflib.recording
from nmflib.course import scenes
from nmflib.course import upload as module
from nmflib.course.upload import (
    MIXINGS,
    _recording_and_outputs,
    _upload_panel,
    diagnosis,
    fastest_fall,
    separate_upload,
)
from nmflib.experiments import recordings
from nmflib.metrics import best_permutation, sdr


def two_talkers(seconds=3, rate=16000):
    """Images (2, 2, n_samples) of two voices at the ears of a dummy head."""
    return scenes.stereo_scene("kemar_two_talkers")[0][..., 16000 : 16000 + seconds * rate]


def worst(images, estimates):
    """SDR in dB of the worse source, in the best order."""
    return min(sdr(s, e) for s, e in zip(images, estimates[list(best_permutation(images, estimates))], strict=True))


def as_file(x, rate=16000, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, x.T, rate, **{"format": "FLAC", **options})
    return buffer.getvalue()


def heard(panel):
    """The sounds (2, n_samples) behind the links, the recording first, and their sample rates."""
    links = [row.children[2].value for row in panel["sounding"].children]
    files = [base64.b64decode(re.search('base64,(.+)">', link)[1]) for link in links]
    sounds, rates = zip(*(soundfile.read(io.BytesIO(file)) for file in files), strict=True)
    return [sound.T for sound in sounds], set(rates)


def test_two_talkers_are_separated_at_the_rate_of_their_file_and_the_bar_tells_how_far(monkeypatch):
    rate, shares, bars = 22050, [], []
    real, shown = module.separate_recording, module.show_picture

    def separate(*arguments, progress, **options):
        return real(*arguments, progress=lambda share: (shares.append(share), progress(share)), **options)

    monkeypatch.setattr(module, "separate_recording", separate)
    monkeypatch.setattr(module, "show_picture", lambda *a: (bars.append(shares[-1]), shown(*a)))
    images = scenes.resample(two_talkers(6), 16000, rate)
    box, _, text = _upload_panel("talk.wav", as_file(images.sum(axis=0), rate, format="WAV"))
    sounds, rates = heard(parts_of(box))
    assert text.startswith("talk.wav: 6.0 s of stereo at 22.05 kHz. Separated as a recording in a room.\nsource 1: ")
    assert rates == {rate} and {sound.shape for sound in sounds} == {images.shape[1:]}
    x, estimates = images.sum(axis=0), np.stack(sounds[1:])
    estimates *= np.sum(x * x) / np.sum(sounds[0] * x)
    at_16_khz = real(two_talkers(6).sum(axis=0), 16000, 2)
    found = worst(images, estimates)
    assert abs(found - worst(two_talkers(6), at_16_khz)) < 3
    assert found > worst(images, np.stack([x, x]) / 2) + 5
    assert shares == sorted(shares) and shares[-1] == 1 and len(set(shares)) > 5 and bars == [1]


def test_a_panned_mixture_is_known_as_one_unless_the_user_knows_better():
    sounds = np.stack([scenes.load(name)[0][:32000] for name in ("speech_en_f", "guitar_intro")])
    x = np.array([[1.0, 0.4], [0.3, 0.9]]) @ sounds
    panel = parts_of(_upload_panel("song.flac", as_file(x, subtype="PCM_24"))[0])
    assert "song.flac: 2.0 s of stereo at 16 kHz. Separated as a panned mixture." in panel["caption"].value
    panel["mixing"].label = "room"
    panel["button"].click()
    assert "Separated as a recording in a room." in panel["caption"].value


@pytest.fixture
def panel(monkeypatch):
    """The parts of the panel by name; its separation only halves the sound."""
    monkeypatch.setattr(
        module, "separate_recording", lambda x, rate, n, mixing, progress: (progress(1.0), np.stack([x / n] * n))[1]
    )
    box, picture, text = _upload_panel("example.flac", as_file(two_talkers().sum(axis=0)))
    return {**parts_of(box), "picture": picture, "text": text}


def parts_of(box):
    controls, which, message, result = box.children
    names = ("upload", "n_sources", "mixing", "start", "longest", "button", "bar")
    parts = dict(zip(names, controls.children, strict=True))
    caption, image, sounding = result.children
    return {**parts, "which": which, "message": message, "result": result, "caption": caption, "image": image,
            "sounding": sounding}  # fmt: skip


def choose(panel, name, content):
    panel["upload"].value = (
        {
            "name": name,
            "type": "",
            "size": len(content),
            "content": memoryview(content),
            "last_modified": datetime.now(UTC),
        },
    )


def test_the_panel_shows_the_example_and_then_the_upload(panel):
    assert panel["picture"].startswith(b"\x89PNG") and panel["image"].value == panel["picture"]
    assert panel["text"].startswith(
        "example.flac: 3.0 s of stereo at 16 kHz. Separated as a recording in a room.\nsource 1: 50% of the energy, "
    )
    assert len(panel["sounding"].children) == 3
    before = panel["picture"]
    choose(panel, "my <talk>.wav", as_file(two_talkers().sum(axis=0)[:, :16000], format="WAV"))
    assert panel["message"].value == "<p>my &lt;talk&gt;.wav: 1.0 s of stereo at 16 kHz. Press “Separate”.</p>"
    assert "nmflib-old" in panel["result"]._dom_classes, "what is still shown is dimmed"
    assert panel["image"].value == before and "example.flac" in panel["caption"].value
    panel["n_sources"].value = 3
    panel["button"].click()
    assert panel["image"].value not in (before, b"") and panel["result"].layout.display == ""
    assert "nmflib-old" not in panel["result"]._dom_classes and panel["message"].value == ""
    assert "my &lt;talk&gt;.wav" in panel["caption"].value and "example" not in panel["caption"].value
    assert "source 3: 33% of the energy" in panel["caption"].value
    assert panel["button"].disabled is False and panel["bar"].layout.visibility == "hidden"
    labels = [row.children[0].value for row in panel["sounding"].children]
    assert labels == ["the recording", "source 1", "source 2", "source 3"]
    assert not plt.get_fignums()


def test_the_links_hold_what_the_players_play_at_one_common_gain(panel):
    sounds = []
    for row, label in zip(panel["sounding"].children, ("the_recording", "source_1", "source_2"), strict=True):
        file, data = re.fullmatch(
            r'<a download="(.+)" href="data:audio/wav;base64,(.+)">\1</a>', row.children[2].value
        ).groups()
        assert file == f"example_{label}.wav"
        assert base64.b64decode(data) == bytes(row.children[1].value)
        sounds.append(soundfile.read(io.BytesIO(base64.b64decode(data)))[0])
    np.testing.assert_allclose(sounds[1] + sounds[2], sounds[0], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.txt", b"hello", "⚠ notes.txt cannot be read as audio"),
        ("empty.wav", b"", "⚠ empty.wav is empty: it has 0 bytes"),
        ("mono.ogg", as_file(np.sin(np.arange(32000.0))[np.newaxis], format="OGG"), "⚠ mono.ogg has 1 channel"),
        ("&lt;b&gt;.wav", b"x", "&amp;lt;b&amp;gt;.wav cannot"),
    ],
    ids=["text", "empty", "mono", "markup"],
)
def test_a_bad_file_gets_a_sentence_and_the_next_one_is_separated(panel, name, content, sentence):
    choose(panel, name, content)
    for _ in range(2):  # once more when the button is pressed all the same
        assert sentence in panel["message"].value
        assert panel["result"].layout.display == "none"
        panel["button"].click()
    assert panel["button"].disabled is False
    choose(panel, "good.flac", as_file(two_talkers().sum(axis=0)))
    panel["button"].click()
    assert "good.flac: 3.0 s of stereo" in panel["caption"].value and len(panel["sounding"].children) == 3
    assert panel["result"].layout.display == ""


def test_a_long_file_is_used_whole_unless_a_piece_of_it_is_asked_for(panel):
    x = np.random.default_rng(0).standard_normal((2, 590 * 4000)) * 0.1
    choose(panel, "long.wav", as_file(x, 4000, format="WAV"))
    assert panel["message"].value == "<p>long.wav: 590.0 s of stereo at 4 kHz. Press “Separate”.</p>"
    panel["button"].click()
    sounds, rates = heard(panel)
    assert rates == {4000} and {sound.shape for sound in sounds} == {x.shape}
    panel["longest"].value = 60
    assert "590.0 s of stereo at 4 kHz; at most 60 s are used, here 60.0 s from second 0" in panel["message"].value
    panel["start"].value = 580
    assert "here 10.0 s from second 580 on" in panel["message"].value
    panel["start"].value = 601
    assert "⚠ start is second 601; long.wav lasts 590.0 s" in panel["message"].value


def test_what_does_not_fit_into_memory_is_said_before_the_work(panel, monkeypatch):
    monkeypatch.setattr(nmflib.recording, "available_memory", lambda: 1e6)
    monkeypatch.setattr(module, "separate_recording", lambda *_, **__: pytest.fail("it was tried"))
    choose(panel, "opera.flac", as_file(two_talkers().sum(axis=0)))
    for _ in range(2):
        assert re.search(r"⚠ opera.flac: .*2 sources need 0\.\d GB of memory and there are 0\.0: take a shorter piece",
                         panel["message"].value)  # fmt: skip
        assert panel["result"].layout.display == "none"
        panel["button"].click()


def test_the_picture_of_a_long_recording_has_its_levels_at_its_times():
    rate, seconds = 8000, 200
    x = np.random.default_rng(0).standard_normal((2, seconds * rate))
    x[:, : 150 * rate] *= 0.1
    figure = _recording_and_outputs(x, np.stack([x]), rate)
    images = [image for ax in figure.axes[:2] for image in ax.images]
    level = images[0].get_array()
    assert level.shape[1] <= module.COLUMNS and {image.get_extent()[1] for image in images} == {seconds}
    plt.close("all")
    quiet, loud = np.split(level, [round(0.75 * level.shape[1])], axis=1)
    assert quiet[1:-1].mean() == pytest.approx(loud[1:-1].mean() - 20, abs=0.2)


def test_any_failure_is_a_sentence_and_leaves_no_figure(panel, monkeypatch):
    def fails(*_):
        plt.subplots()
        raise RuntimeError("no more paper")

    monkeypatch.setattr(module, "_recording_and_outputs", fails)
    panel["button"].click()
    assert panel["message"].value == "<p>⚠ RuntimeError: no more paper</p>"
    assert panel["button"].disabled is False
    assert not plt.get_fignums()


def test_the_panel_says_which_mixing_to_take_and_offers_the_files_of_telephones(panel):
    assert all(f"<b>{name}</b>" in panel["which"].value for name in MIXINGS)
    assert set(MIXINGS.values()) == set(nmflib.recording.MIXINGS)
    assert {".wav", ".m4a"} <= set(panel["upload"].accept.split(","))


def test_the_panel_is_one_output_with_a_picture_where_there_are_no_widgets(displayed, not_publishing):
    separate_upload(("x.flac", as_file(two_talkers(1).sum(axis=0))), "Two voices.")
    (data, _), (sentence, _) = displayed
    assert set(data) == {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"].startswith("Two voices.\nx.flac: 1.0 s of stereo at 16 kHz. Separated as ")
    assert "<em>Two voices.</em>" in sentence["text/html"]


@pytest.fixture(scope="module")
def talkers_in_rooms():
    """Mixtures (2, n_samples) of the same two voices in unseen rooms, by reverberation time in s."""
    rooms = recordings.scenes("unseen", 2)
    return {rooms[name]["rt60"]: rooms[name]["images"].sum(axis=0) for name in ("unseen_2_00", "unseen_2_07")}


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_fastest_fall_of_level_tells_a_dry_room_from_a_reverberant_one(rate, talkers_in_rooms):
    falls = {rt60: fastest_fall(scenes.resample(x, 16000, rate), rate) for rt60, x in talkers_in_rooms.items()}
    assert 0.1 < falls[0.13] < module.DRY < module.LIVE < falls[0.4] < 0.45


def test_the_diagnosis_names_what_is_wrong_and_nothing_else(talkers_in_rooms):
    x = talkers_in_rooms[0.13]
    (only,) = diagnosis(x, 16000, "convolutive")
    assert only.startswith("It is dry: ")
    assert diagnosis(x, 16000, "instantaneous") == []
    noise = 1e-3 * np.random.default_rng(0).standard_normal(x.shape) * x.std()
    spoilt = {
        "The right channel is 26 dB weaker": x * [[1], [0.05]],
        "The left channel is 26 dB weaker": x[::-1] * [[0.05], [1]],
        "Both channels hold nearly the same": x[:1] + noise,
        "It seems to be clipped": np.clip(x, -x.std(), x.std()),
        "It is short (3.0 s)": x[:, :48000],
    }
    for beginning, recording in spoilt.items():
        warnings = [line for line in diagnosis(recording, 16000, "convolutive") if line.startswith("⚠ ")]
        assert len(warnings) == 1 and warnings[0].removeprefix("⚠ ").startswith(beginning)
    (warning,) = diagnosis(talkers_in_rooms[0.4], 16000, "convolutive")
    assert warning.startswith("⚠ Even at its steepest") and "the room is reverberant" in warning


def test_what_the_diagnosis_says_stands_in_the_panel(panel):
    assert panel["text"].splitlines()[-2].startswith("⚠ It is short (3.0 s)")
    assert panel["text"].splitlines()[-1].startswith("It is dry: ")
    assert "It is short" in panel["caption"].value
