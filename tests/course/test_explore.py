import io
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from ipywidgets import Dropdown, FloatSlider, IntSlider
from PIL import Image

from nmflib.course.explore import _build, explore
from nmflib.course.figures import film_strip

calls = []


def draw(n, window="hann"):
    calls.append((n, window))
    if n == 7:
        raise ValueError("n is 7; seven is <not> allowed")
    if n == 8:
        plt.figure()  # begun, and never finished
        raise KeyError("eight")
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


def test_any_other_error_is_a_sentence_too_and_no_figure_stays_open(live):
    controls, image, caption, sounding, *_ = live
    controls["n"].value = 8
    assert caption.value == "<p>⚠ This setting cannot be drawn: KeyError: &#x27;eight&#x27;</p>"
    assert image.layout.display == "none" and sounding.children == ()
    assert not plt.get_fignums()
    with pytest.raises(KeyError):
        film_strip(draw, "06_strip", "Lines.", n=[1, 8])
    assert not plt.get_fignums()


def test_a_figure_that_was_open_before_stays_open():
    kept = plt.figure()
    _build(draw, {"n": IntSlider(value=1)})
    assert plt.get_fignums() == [kept.number]
    plt.close(kept)


def test_players_stay_and_only_their_sound_is_exchanged(live):
    controls, _, _, sounding, *_ = live
    (row,) = sounding.children
    before = tone(sounding)
    controls["n"].value = 5
    assert sounding.children == (row,)
    assert not np.array_equal(tone(sounding), before)


def test_a_picture_is_drawn_with_twice_the_pixels_at_which_it_is_shown(live):
    _, image, *_ = live
    pixels = plt.imread(io.BytesIO(image.value)).shape[1]
    assert (pixels, image.width) == (3 * 180, "270")
    assert image.layout.align_self == "flex-start", "it is not stretched"


def test_the_box_is_busy_while_it_computes_and_only_then():
    seen = []

    def look(n):
        seen.append("nmflib-busy" in box._dom_classes if n > 1 else None)
        return draw(n)

    slider = IntSlider(value=1, min=1, max=9)
    box, *_ = _build(look, {"n": slider})
    slider.value = 2
    assert seen == [None, True]
    assert "nmflib-busy" not in box._dom_classes


def button(box, label):
    (row,) = (child for child in box.children[0].children if hasattr(child, "children"))
    (found,) = (child for child in row.children if getattr(child, "description", "") == label)
    return found


def test_presets_set_several_controls_and_draw_once_and_reset_goes_back():
    calls.clear()
    controls = {"n": IntSlider(value=3, min=1, max=9), "window": Dropdown(options=["hann", "box"])}
    presets = {"long": {"n": 6, "window": "box"}, "fails": {"n": 8}, "unknown": {"window": "none such"}}
    box, picture, _ = _build(draw, controls, presets)
    *_, image, caption, _sounding = box.children
    button(box, "long").click()
    assert (controls["n"].value, controls["window"].value) == (6, "box")
    assert calls == [(3, "hann"), (6, "box")]
    assert image.value != picture
    for label in ("fails", "unknown"):
        button(box, label).click()
        assert "cannot be drawn" in caption.value
    button(box, "Reset").click()
    assert (controls["n"].value, controls["window"].value) == (3, "hann")
    assert image.value == picture and caption.value == "<p>n is 3</p>"
    controls["n"].value = 4
    assert caption.value == "<p>n is 4</p>"


def test_a_preset_of_a_control_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"presets\['fast'\] sets alpha; the controls are n"):
        explore(draw, "A line.", presets={"fast": {"alpha": 2}}, n=IntSlider(value=3))


def test_controls_may_be_called_draw_or_alt(displayed):
    explore(lambda draw, alt: plt.figure(), "Nothing.", draw=IntSlider(), alt=IntSlider())
    assert len(displayed) == 2


def test_sliders_answer_when_they_are_let_go_and_have_names(live):
    controls = live[0]
    assert controls["n"].continuous_update is False
    assert [control.description for control in controls.values()] == ["n", "window"]
    assert {control.style.description_width for control in controls.values()} == {"7ch"}, "labels of one width"


def test_a_draw_function_may_return_a_figure_alone():
    box, _, text = _build(lambda n: draw(n)[0], {"n": IntSlider(value=1)})
    assert text == ""
    assert box.children[-1].children == ()


def test_a_grid_has_a_picture_a_text_and_sounds_for_every_setting(tmp_path, monkeypatch, displayed):
    monkeypatch.setenv("NMFLIB_GRID", str(tmp_path))
    controls = {
        "n": IntSlider(value=3, min=1, max=9, description="n (steps)"),
        "window": Dropdown(options=["hann", "box"]),
    }
    calls.clear()
    explore(draw, "A line.", grid={"n": [1, 3, 7]}, presets={"none": {"window": "box"}}, **controls)
    assert displayed == [], "nothing is shown"
    assert calls == [(n, window) for n in (1, 3, 7) for window in ("hann", "box")]
    grid = json.loads((tmp_path / "grid.json").read_text("utf-8"))
    assert grid["controls"] == [
        {"name": "n", "label": "n (steps)", "values": ["1", "3", "7"], "start": 1},
        {"name": "window", "label": "window", "values": ["hann", "box"], "start": 0},
    ]
    assert grid["presets"] == {"none": {"window": 1}}
    assert [frame["text"] for frame in grid["frames"][:4]] == ["n is 1", "n is 1", "n is 3", "n is 3"]
    assert "seven" in grid["frames"][4]["text"] and "picture" not in grid["frames"][4]
    one, again, three, _ = grid["frames"][:4]
    assert one["picture"] == again["picture"] != three["picture"], "what is the same is stored once"
    assert one["size"] == [270, 180]
    with Image.open(tmp_path / one["picture"]) as picture:
        assert picture.size == (540, 360)
    sound, rate = soundfile.read(tmp_path / three["sounds"]["tone"], always_2d=True)
    assert (rate, sound.shape[1]) == (8000, 1)
    assert np.abs(sound).max() > 0.5


def test_a_control_without_values_in_the_grid_takes_all_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("NMFLIB_GRID", str(tmp_path))
    explore(lambda x: plt.figure(), "x", grid={}, x=FloatSlider(value=0.5, min=0, max=1, step=0.25))
    grid = json.loads((tmp_path / "grid.json").read_text("utf-8"))
    assert grid["controls"][0]["values"] == ["0", "0.25", "0.5", "0.75", "1"]
    assert grid["controls"][0]["start"] == 2


@pytest.mark.parametrize(
    ("grid", "presets", "message"),
    [
        ({"n": [1, 2]}, {}, r"grid\['n'\] lacks 3"),
        ({"n": [1, 3]}, {"far": {"n": 9}}, r"grid\['n'\] lacks 9"),
        ({"m": [1]}, {}, "grid names m; the controls are n"),
    ],
)
def test_a_grid_holds_the_start_and_the_presets(grid, presets, message, tmp_path, monkeypatch):
    monkeypatch.setenv("NMFLIB_GRID", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        explore(draw, "A line.", grid=grid, presets=presets, n=IntSlider(value=3, min=1, max=9))


def test_without_a_place_for_it_the_grid_changes_nothing(displayed, not_publishing, monkeypatch):
    monkeypatch.delenv("NMFLIB_GRID", raising=False)
    calls.clear()
    explore(draw, "A line.", grid={}, n=IntSlider(value=3, min=1, max=9))
    assert calls == [(3, "hann")]
    assert len(displayed) == 2
