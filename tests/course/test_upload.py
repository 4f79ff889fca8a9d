import base64
import io
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile

from nmflib.course import scenes
from nmflib.course import upload as module
from nmflib.course.upload import METHODS, _upload_panel, moving, separate_recording, separate_upload
from nmflib.metrics import best_permutation, sdr


def two_talkers(seconds=3, rate=16000):
    """Images (2, 2, n_samples) of two voices at the ears of a dummy head."""
    return scenes.stereo_scene("kemar_two_talkers")[0][..., 16000 : 16000 + seconds * rate]


def as_file(x, rate=16000, **options):
    buffer = io.BytesIO()
    soundfile.write(buffer, x.T, rate, **{"format": "FLAC", **options})
    return buffer.getvalue()


@pytest.mark.parametrize("method", METHODS)
def test_two_talkers_are_separated_and_the_outputs_sum_to_the_recording(method):
    images, shares = two_talkers(), []
    x = images.sum(axis=0)
    estimates = separate_recording(x, 16000, 2, method, progress=shares.append)
    assert sdr(x, estimates.sum(axis=0)) > 35
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) == {"blind": 1}.get(method, len(shares))
    places = list(best_permutation(images, estimates))
    assert min(sdr(s, e) for s, e in zip(images, estimates[places], strict=True)) > (3 if method == "ILRMA" else 10)


def test_three_outputs_of_two_microphones_sum_to_the_recording():
    x = two_talkers().sum(axis=0)
    estimates = separate_recording(x, 16000, 3)
    assert estimates.shape == (3, *x.shape)
    np.testing.assert_allclose(estimates.sum(axis=0), x, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: separate_recording(np.ones(100), 16000), "x has shape"),
        (lambda: separate_recording(np.ones((3, 100)), 16000), "x has shape"),
        (lambda: separate_recording(np.ones((2, 9999)), 16000, method="magic"), "method is 'magic'"),
        (lambda: separate_recording(np.ones((2, 9999)), 16000, 3, "ILRMA"), "n_sources is 3; ILRMA"),
        (lambda: separate_recording(np.ones((2, 9999)), 16000, 1, "blind"), "n_sources is 1"),
    ],
)
def test_what_cannot_be_separated_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture
def panel(monkeypatch):
    """The parts of the panel by name; its separation only halves the sound."""
    monkeypatch.setattr(
        module, "separate_recording", lambda x, rate, n, method, progress: (progress(1.0), np.stack([x / n] * n))[1]
    )
    box, picture, text = _upload_panel("example.flac", as_file(two_talkers().sum(axis=0)))
    return {**parts_of(box), "picture": picture, "text": text}


def parts_of(box):
    controls, which, message, result = box.children
    names = ("upload", "n_sources", "method", "start", "button", "bar")
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
    assert panel["text"].startswith("example.flac: 3.0 s of stereo at 16 kHz.\nsource 1: 50% of the energy, ")
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


def test_of_a_ten_minute_file_a_minute_is_used_from_the_second_that_is_asked_for(panel):
    x = np.random.default_rng(0).standard_normal((2, 600 * 4000)) * 0.1
    choose(panel, "long.wav", as_file(x, 4000, format="WAV"))
    assert "long.wav: 600.0 s of stereo at 4 kHz; at most 60 s are used, here 60.0 s from second 0" in (
        panel["message"].value
    )
    panel["start"].value = 590
    assert "here 10.0 s from second 590 on" in panel["message"].value
    panel["start"].value = 601
    assert "⚠ start is second 601; long.wav lasts 600.0 s" in panel["message"].value


def test_a_setting_the_method_does_not_know_gets_a_sentence():
    panel = parts_of(_upload_panel("x.flac", as_file(two_talkers(1).sum(axis=0)))[0])
    panel["method"].value, panel["n_sources"].value = "ILRMA", 3
    panel["button"].click()
    assert "⚠ n_sources is 3; ILRMA finds as many sources as there are microphones" in panel["message"].value


def test_any_failure_is_a_sentence_and_leaves_no_figure(panel, monkeypatch):
    def fails(*_):
        plt.subplots()
        raise RuntimeError("no more paper")

    monkeypatch.setattr(module, "_recording_and_outputs", fails)
    panel["button"].click()
    assert panel["message"].value == "<p>⚠ RuntimeError: no more paper</p>"
    assert panel["button"].disabled is False
    assert not plt.get_fignums()


def test_the_bar_moves_while_nothing_is_reported_and_never_goes_back():
    bar, seen = SimpleNamespace(value=0.3), []
    with moving(bar, expected=1.0) as report:
        for _ in range(3):
            time.sleep(0.4)
            seen.append(bar.value)
        report(0.95)
        seen.append(bar.value)
        report(0.1)
        seen.append(bar.value)
    assert 0 < seen[0] < seen[1] < seen[2] < 0.95 == seen[3] <= seen[4]
    time.sleep(0.4)
    assert bar.value == seen[4], "the clock has stopped"


def test_the_panel_says_which_method_to_take_and_offers_the_files_of_telephones(panel):
    assert all(f"<b>{name}</b>: " in panel["which"].value for name in METHODS)
    assert {".wav", ".m4a"} <= set(panel["upload"].accept.split(","))


def test_the_panel_is_one_output_with_a_picture_where_there_are_no_widgets(displayed, not_publishing):
    separate_upload(("x.flac", as_file(two_talkers(1).sum(axis=0))), "Two voices.")
    (data, _), (sentence, _) = displayed
    assert set(data) == {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"].startswith("Two voices.\nx.flac: 1.0 s of stereo at 16 kHz.\nsource 1: ")
    assert "<em>Two voices.</em>" in sentence["text/html"]
