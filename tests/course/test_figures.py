"""Pictures and film strips: what is shown, what is published, what is refused."""

import base64
import io
import math
import os

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from nmflib.course import figures
from nmflib.course.claims import Check, verdict
from nmflib.course.figures import film_strip, show
from nmflib.course.listen import listen
from nmflib.course.scenes import collection

BAD_NAMES = ("masks", "4_masks", "04masks", "04_Masks", "04_../x", "04_")


def figure(width=4.0, **looks):
    fig, ax = plt.subplots(figsize=(width, 2), **looks)
    ax.plot([1, 3, 2])
    return fig


def draw(rank, beta=1.0):
    return figure(), f"cost {rank * beta:.1f}"


def picture_of(output):
    return base64.b64decode(output[0]["image/png"])


def test_show_displays_what_it_publishes_and_closes_the_figure(displayed, publishing):
    fig = figure()
    show(fig, "04_masks", "Two <masks>.")
    (data, metadata), (sentence, _) = displayed
    assert (publishing / "04_masks.png").read_bytes() == base64.b64decode(data["image/png"])
    assert data["text/plain"] == "figures/04_masks.png"
    assert metadata["image/png"]["alt"] == "Two <masks>."
    assert sentence["text/html"] == "<p><em>Two &lt;masks&gt;.</em></p>"
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize(("most", "scale"), [(10**6, 2.0), (0, 1.0)])
def test_a_picture_is_as_sharp_as_its_size_allows_and_shown_at_its_natural_one(most, scale, displayed, monkeypatch):
    monkeypatch.setattr(figures, "SHARP", most)
    show(figure(), "04_masks", "Lines.")
    data, metadata = displayed[0]
    assert {side: metadata["image/png"][side] for side in ("width", "height")} == {"width": 400, "height": 200}
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
        assert image.size == (400 * scale, 200 * scale)


def test_the_colours_of_a_picture_are_kept():
    ramp = np.linspace(0, 255, 400).astype(np.uint8)
    rgb = np.stack(np.broadcast_arrays(ramp, ramp[::-1], ramp[:, np.newaxis]), axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(rgb[::40]).save(buffer, format="png")
    with Image.open(io.BytesIO(figures.compact(buffer.getvalue()))) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - rgb[::40]).max() <= 12


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
    verdict("C4", cases={"one": Check("SDR", 1.0, ">=", 0.0)})
    film_strip(draw, "04_strip", "Lines.", rank=[1, 2])
    assert os.listdir(tmp_path) == []
    assert sorted(collection().glob("figures/**/*")) == before


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


def strip_of(result):
    return lambda: film_strip(lambda rank: result, "04_strip", "Lines.", rank=[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[(lambda name=name: show(figure(), name, "Lines."), f"name is '{name}'") for name in BAD_NAMES],
        *[(lambda name=name: listen({"a": np.ones(9)}, 8000, name), f"name is '{name}'") for name in BAD_NAMES],
        (lambda: show(figure(), "04_masks", " "), "alt of 04_masks is empty"),
        (lambda: film_strip(draw, "04_strip", "Lines.", rank=1), "values: no keyword varies"),
        (lambda: film_strip(draw, "04_strip", "Lines.", rank=[1, 2], beta=[1.0]), "values: rank has 2, beta has 1"),
        (lambda: film_strip(draw, "04_strip", "Lines.", rank=[]), "values: rank has 0"),
        (lambda: film_strip(draw, "04_strip", "Lines."), "values: no keyword varies"),
        *[(strip_of(result), "draw returned") for result in (None, "text", (), ("text", 1), (1, 2, 3, 4))],
    ],
)
def test_what_cannot_be_shown_gets_a_sentence_and_no_file(call, message, displayed, publishing):
    with pytest.raises(ValueError, match=message):
        call()
    assert list(publishing.iterdir()) == []
