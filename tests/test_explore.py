import io
from datetime import UTC, datetime

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from ipywidgets import Dropdown, FileUpload, IntSlider

from nmflib.explore import _build, explore

calls = []


def draw(n, window="hann"):
    calls.append((n, window))
    if n == 7:
        raise ValueError("n is 7; seven is <not> allowed")
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.plot(np.arange(n))
    return fig, f"n is {n}", {"tone": (np.sin(np.arange(800) * n / 9), 8000)}


@pytest.fixture
def live():
    calls.clear()
    controls = {"n": IntSlider(value=3, min=1, max=9), "window": Dropdown(options=["hann", "box"])}
    box, picture, text = _build(draw, controls)
    *_, image, caption, sounding = box.children
    return controls, image, caption, sounding, picture, text


def tone(sounding):
    return soundfile.read(io.BytesIO(sounding.children[0].children[1].value))[0]


def test_one_output_with_a_picture_where_there_are_no_widgets(displayed, not_publishing):
    explore(draw, "A line.", n=IntSlider(value=3, min=1, max=9))
    (data, metadata), (sentence, _) = displayed
    assert set(data) == {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == "A line.\nn is 3"
    assert metadata["image/png"]["alt"] == "A line."
    assert "<em>A line.</em>" in sentence["text/html"]
    assert not plt.get_fignums()


def test_a_change_moves_picture_text_and_sound(live):
    controls, image, caption, sounding, picture, _ = live
    before = tone(sounding)
    controls["n"].value = 5
    assert image.value != picture
    assert caption.value == "<p>n is 5</p>"
    assert not np.array_equal(tone(sounding), before)
    controls["window"].value = "box"
    assert calls == [(3, "hann"), (5, "hann"), (5, "box")]


def test_results_are_remembered(live):
    controls, image, _caption, sounding, picture, _ = live
    before = tone(sounding)
    for value in (5, 3, 5, 3):
        controls["n"].value = value
    assert calls == [(3, "hann"), (5, "hann")]
    assert image.value == picture
    np.testing.assert_array_equal(tone(sounding), before)


def test_a_value_error_is_shown_as_a_sentence_and_the_next_setting_draws_again(live):
    controls, image, caption, sounding, *_ = live
    controls["n"].value = 7
    assert "n is 7; seven is &lt;not&gt; allowed" in caption.value
    assert image.layout.display == "none"
    assert sounding.children == ()
    controls["n"].value = 2
    assert caption.value == "<p>n is 2</p>"
    assert image.layout.display == ""
    assert len(sounding.children) == 1


def test_sliders_answer_when_they_are_let_go_and_have_names(live):
    controls = live[0]
    assert controls["n"].continuous_update is False
    assert [control.description for control in controls.values()] == ["n", "window"]


def test_a_draw_function_may_return_a_figure_alone():
    box, _, text = _build(lambda n: draw(n)[0], {"n": IntSlider(value=1)})
    assert text == ""
    assert box.children[-1].children == ()


def test_an_uploaded_file_can_be_a_control():
    sizes = []

    def of_files(files):
        sizes.append(len(files))
        return draw(1)

    upload = FileUpload()
    _build(of_files, {"files": upload})
    upload.value = (
        {"name": "a.wav", "type": "audio/wav", "size": 1, "content": b"x", "last_modified": datetime.now(UTC)},
    )
    assert sizes == [0, 1]
