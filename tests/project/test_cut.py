"""How a chapter is cut into slides; tests/browser/test_slides.py looks at them."""

import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "site"))
import cut  # noqa: E402
import printed  # noqa: E402

FIGURE = '<figure><img src="../figures/04_a.png" alt="Two tones."><figcaption>Two tones.</figcaption></figure>'


def chapter(*cells):
    made = [nbformat.v4.new_markdown_cell("# 04 · Title\n\nA promise.")]
    for cell in ("## Play first", FIGURE, *cells):
        if cell.startswith("<"):
            output = nbformat.v4.new_output("display_data", data={"text/html": cell})
        else:
            output = nbformat.v4.new_output("stream", text=cell)
        is_code = cell.startswith("<") or cell.startswith("   ")
        made.append(nbformat.v4.new_code_cell(outputs=[output]) if is_code else nbformat.v4.new_markdown_cell(cell))
    return cut.Chapter(nbformat.v4.new_notebook(cells=made)).slides


def test_a_slide_has_the_question_before_its_picture_and_the_answer_after_it():
    opener, slide = chapter(
        "## How many?\n\nSay it.\n\n**Predict:** how many bins?", FIGURE, "**Answer.** Five. Or four."
    )
    assert (opener.title, opener.notes[0]) == ("04 · Title", "A promise.")
    assert (slide.title, slide.kind, slide.question, slide.answer) == (
        "How many?",
        "picture",
        "How many bins?",
        "Five. Or four.",
    )
    assert (
        slide.notes[0] == "Say it."
        and "**Ask.** How many bins?" in slide.notes
        and "**Answer.** Five. Or four." in slide.notes
    )
    assert slide.fitted() == ("How many bins?", "Five. Or four.")


def test_a_section_goes_on_under_its_heading_and_a_question_without_picture_has_a_slide():
    _, first, second, third = chapter(
        "## Why?", FIGURE, FIGURE, "**Predict:** why? **Answer.** So.", "## Exercises\n\n1. None."
    )
    assert [slide.title for slide in (first, second, third)] == ["Why?"] * 3
    assert (third.kind, third.fitted()) == ("words", ("Why?", "So."))


def test_long_texts_are_cut_between_sentences():
    long = "This answer has so many words that it does not fit on a slide beside others. " * 4
    *_, slide = chapter("## What?\n\n**Predict:** It is late. Is it? " + long, FIGURE, "**Answer.** No. " + long)
    question, answer = slide.fitted()
    assert question == "It is late. Is it?" and answer.startswith("No. This answer")
    assert cut.words(" ".join([slide.title, question, answer])) <= cut.WORDS


def test_words_are_what_is_read():
    assert cut.words("Two tones, $w_1 h_1$ and 5.1 [bins](04.ipynb)") == 4
    assert cut.words(FIGURE) == 0
    frames = '<figure data-frames=\'[{"values": {"r": "1"}, "text": "two words"}]\'></figure>'
    assert cut.words(frames) == 3


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("   r   SI-SDR of WH\n   2        3.5 dB\n  10        9.5 dB\n", 3),
        ("r = 1: SDR 2 dB\nr = 4: SDR 12 dB\nr = 7: SDR 21 dB\n", 0),
        ("mixture  source 1:   0.7 dB\noracle   source 1:  30.9 dB\n", 0),
        ("seeds 2\n  n      W       H\n  1      a       b\n  2      c       d\n", 0),
        ("law  left  β=0  β=1\nx      10  1.0  2.0  3\ny      11  1.0  2.0  3\n", 0),
    ],
)
def test_printed_columns_under_heads_become_a_table(text, rows):
    assert printed.printed_html(text).count("<tr>") == rows


def test_what_pandas_prints_becomes_tables_with_captions():
    names = pd.Index(["own, 0", "b"], name="rt60")
    frame = pd.DataFrame({"IVA start": [27.0, 6.5], "best": [45.0, np.nan]}, index=names)
    series = pd.Series([1.5, -2, 3], index=pd.Index(["a b", "c", "d"], name="which"))
    page = printed.printed_html(f"mean (dB)\n{frame}\n\nsingle (dB)\n{series.to_string()}\n\nlast words\n")
    tables = [re.findall(r"<t[hd]>(.*?)</t", table) for table in page.split("</table>")]
    assert tables[0] == ["rt60", "IVA start", "best", "own, 0", "27.0", "45.0", "b", "6.5", "NaN"]
    assert tables[1] == ["a b", "1.5", "c", "-2.0", "d", "3.0"]
    assert re.findall(r"<caption>(.*?)<", page) == ["mean (dB)", "single (dB)"]
    assert tables[2] == [] and page.endswith("<pre>last words</pre>")


def test_a_printed_table_is_a_slide_if_it_has_room_and_else_a_note():
    rows = "".join(f"  {r:2d}        3.5 dB\n" for r in range(10, 30))
    head = "   r   SI-SDR of WH\n"
    _, *rest = chapter("## Why?", f'<table class="printed">{"<tr></tr>" * 4}</table>', FIGURE)
    assert [slide.kind for slide in rest] == ["table", "picture"]
    assert rest[0].body in rest[0].notes
    long = printed.printed_html(head + rows)
    _, (only) = chapter("## Why?", long, FIGURE)
    assert only.kind == "picture" and long in only.notes


def test_players_are_shared_out_evenly():
    row = '<tr><th scope="row">part {}</th><td><audio src="x.mp3"></audio></td><td>1 s</td></tr>'
    tables = cut.players("".join(row.format(k) for k in range(10)), 40)
    assert [table.count("<audio") for table in tables] == [5, 5]
    assert "1 s" not in tables[0]
