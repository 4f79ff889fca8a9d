import ast
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from nmflib.course.claims import read_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_generated_parts_of_all_pages_are_current(run):
    run.pages.ROOT = ROOT
    for page, text in run.pages.texts().items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, f"{page}: make run"


def test_a_missing_marker_is_named(run, tmp_path):
    (tmp_path / "README.md").write_text("<!-- claims -->")
    with pytest.raises(ValueError, match=r"README\.md needs <!-- claims -->"):
        run.pages.filled("README.md", claims="")


@pytest.mark.parametrize("page", ["README.md", "TEACHING.md", "CONTRIBUTING.md", "figures/audio/README.md"])
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    links += re.findall(r"default_url=/lab/tree/(\S+)", text)
    folder = (ROOT / page).parent
    assert links and [link for link in links if not link.startswith("http") and not (folder / link).exists()] == []


def test_four_pictures_are_of_one_height_and_have_the_alternative_texts_of_their_chapters():
    block = re.search(r"<p>\n(.*?)</p>", README, flags=re.DOTALL)[1]
    pattern = r'<a href="(.+?)"><img src="(figures/\w+\.png)" width="(\d+)" alt="(.+?)"></a>'
    heights, widths = [], []
    for chapter, name, width, alt in re.findall(pattern, block):
        assert f'"{alt}"' in (ROOT / chapter).read_text(encoding="utf-8"), f"{name} has another alternative text"
        with Image.open(ROOT / name) as picture:
            heights.append(int(width) * picture.height / picture.width)
        widths.append(int(width))
    assert len(widths) == 4 and max(heights) - min(heights) < 1
    assert max(sum(widths[:2]), sum(widths[2:])) <= 830, "two do not fit in a row"


# ---------------------------------------------------------------- the moving picture


@pytest.fixture
def moving(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import moving

    return moving


def test_the_moving_picture_says_what_the_chapter_computes(moving):
    with Image.open(ROOT / "figures" / "04_moving.gif") as picture:
        said = json.loads(picture.info["comment"])
        assert picture.n_frames == len(moving.RATES)
    assert [(frame["alpha"], frame["beta"]) for frame in said] == moving.RATES
    draw = moving.chapter_draw()
    for i in (0, moving.RATES.index((23, 31)), moving.RATES.index((3, 3))):
        _, text = moving.frame(draw, *moving.RATES[i])
        assert text == said[i]["text"], "chapter 04 draws something else: python tools/moving.py"


# ---------------------------------------------------------------- the package and the sounds


def test_the_example_of_the_package_runs():
    text = (ROOT / "nmflib" / "README.md").read_text(encoding="utf-8")
    space = {"x": np.random.default_rng(0).standard_normal(4000)}
    exec(re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1], space)
    assert space["parts"].shape == (4, 4000)
    np.testing.assert_allclose(space["parts"].sum(axis=0), space["x"], atol=1e-10)


def test_every_sound_has_its_clips_licences_and_attributions():
    text = (ROOT / "figures" / "audio" / "README.md").read_text(encoding="utf-8")
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    for path in (ROOT / "figures" / "audio").glob("*.mp3"):
        (row,) = (line for line in text.splitlines() if f"({path.name})" in line)
        made = row.removesuffix(" |").rpartition(" | ")[2]
        named = re.findall(r"`(\w+)`", made)
        assert named or made == "sine waves, computed"
        for clip in named:
            (line,) = (line for line in text.splitlines() if line.startswith(f"| `{clip}` | "))
            assert clips[clip]["licence"] in line and clips[clip]["attribution"].replace("|", "\\|") in line


def test_clips_are_found_in_a_chapter_and_in_the_experiments_it_imports(run, tmp_path):
    (tmp_path / "nmflib" / "experiments").mkdir(parents=True)
    (tmp_path / "nmflib" / "experiments" / "study.py").write_text(
        "from nmflib.experiments import base\nX = 'tabla_cc0'\n"
    )
    (tmp_path / "nmflib" / "experiments" / "base.py").write_text("import pyroomacoustics\nPAIR = ('piano_hands', 1)\n")
    code = new_code_cell("from nmflib.experiments import study\nload('piano_mary')")
    solution = new_code_cell("load('speech_en_f')", metadata={"tags": ["solution"]})
    nbformat.write(new_notebook(cells=[new_markdown_cell("guitar_intro"), code, solution]), tmp_path / "01_a.ipynb")
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    used, made = run.pages.origin(tmp_path / "01_a.ipynb", clips)
    assert used == {"piano_mary", "tabla_cc0", "piano_left_hand", "piano_right_hand"}
    assert made == ["a simulated room"]


def test_the_picture_of_speed_has_six_bars_of_the_table():
    source = (ROOT / "tools" / "bench.py").read_text(encoding="utf-8")
    shown = re.search(r"^SHOWN = ({.*?^})", source, flags=re.DOTALL | re.MULTILINE)[1]
    rows = {
        (row["part"], row["what"], row["peer"]) for row in read_table(ROOT / "figures" / "bench.csv") if row["ratio"]
    }
    assert len(ast.literal_eval(shown)) <= 6
    assert set(ast.literal_eval(shown)) <= rows
