import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nmflib.course.claims import read_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOVING = ROOT / "figures" / "04_moving.gif"


def test_the_generated_parts_of_all_pages_are_current(run):
    run.pages.ROOT = ROOT
    for page, text in run.pages.texts().items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, f"{page}: make run"


def test_a_missing_marker_is_named(run, tmp_path):
    (tmp_path / "README.md").write_text("<!-- claims -->")
    with pytest.raises(ValueError, match=r"README\.md needs <!-- claims -->"):
        run.pages.filled("README.md", claims="")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "nmflib/README.md", "figures/audio/README.md"])
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    folder = (ROOT / page).parent
    assert [link for link in links if not link.startswith("http") and not (folder / link).exists()] == []
    assert page != "README.md" or "LICENSE" in links


def test_the_commands_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"make (\w+)", README)) - {"installs"}
    assert {"run", "test", "lab", "bench", "site"} <= named
    assert named <= set(targets)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake test")


def test_the_first_command_is_what_most_readers_want():
    block = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)[0].splitlines()
    assert [line.split()[1] for line in block[:3]] == ["lab", "run", "test"]


def test_no_line_of_a_code_block_scrolls_on_a_wide_screen():
    blocks = re.findall(r"```\w*\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 90


def test_windows_is_told_how_in_four_lines():
    block = re.findall(r"```bat\n(.*?)```", README, flags=re.DOTALL)[0].splitlines()
    assert len(block) == 4
    assert 'pip install -c constraints.txt -e ".[notebooks]"' in block
    page = re.search(r"default_url=/lab/tree/(\S+)", block[-1])[1]
    assert (ROOT / page).exists(), "the folder Jupyter starts in is the repository"


def test_tables_have_heads_and_short_cells():
    tables = re.findall(r"(?:^\|.*\n)+", README, flags=re.MULTILINE)
    assert [len(re.findall(r"(?<!\\)\|", table.splitlines()[0])) - 1 for table in tables] == [3, 4]
    for table in tables:
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        assert all(cell.strip() for cell in rows[0])
        assert max(len(re.sub(r"\(.*?\)", "", cell)) for row in rows for cell in row) <= 120
    assert "«" not in README and "needed" not in README


def test_the_pictures_of_the_gallery_are_of_one_height():
    found = re.findall(r'<img src="(figures/\w+\.png)" width="(\d+)" alt="(.+?)">', README.split("gallery -->")[1])
    assert len(found) >= 4
    heights = []
    for name, width, _ in found:
        with Image.open(ROOT / name) as picture:
            heights.append(int(width) * picture.height / picture.width)
    assert max(heights) - min(heights) < 1
    widths = [int(width) for _, width, _ in found]
    assert all(sum(widths[i : i + 2]) <= 830 for i in range(0, len(widths), 2)), "two do not fit in a row"
    assert any(int(name[8:10]) >= 9 for name, *_ in found), "none is of the multichannel half"


# ---------------------------------------------------------------- the moving picture


@pytest.fixture
def moving(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import moving

    return moving


def test_the_moving_picture_is_small_moves_and_has_a_still_one_beside_it(moving):
    assert MOVING.stat().st_size <= 1.5e6
    with Image.open(MOVING) as picture:
        frames = []
        for i in range(picture.n_frames):
            picture.seek(i)
            frames.append(np.asarray(picture.convert("L"), float))
    assert len(frames) == len(moving.RATES) >= 8
    assert all(np.abs(a - b).mean() > 0.1 for a, b in pairwise(frames)), "two frames are alike"
    still = r'<source media="\(prefers-reduced-motion: reduce\)" srcset="figures/\w+\.png">'
    assert re.search(
        rf'<picture>\n{still}\n<img src="figures/04_moving\.gif" width="\d+" alt=".+">\n</picture>', README
    )


def test_the_moving_picture_says_what_the_chapter_computes(moving):
    with Image.open(MOVING) as picture:
        said = json.loads(picture.info["comment"])
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
    for path in (ROOT / "figures" / "audio").glob("*.mp3"):
        (row,) = (line for line in text.splitlines() if f"({path.name})" in line)
        made = row.removesuffix(" |").rpartition(" | ")[2]
        named = re.findall(r"`(\w+)`", made)
        assert named or made == "sine waves, computed"
        for clip in named:
            assert f"\n| `{clip}` | " in text
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    for clip in set(re.findall(r"`(\w+)`", text)) & clips.keys():
        assert clips[clip]["attribution"].replace("|", "\\|") in text
        assert clips[clip]["licence"] in text


def test_clips_are_found_in_a_chapter_and_in_the_experiments_it_imports(run, tmp_path):
    (tmp_path / "nmflib" / "experiments").mkdir(parents=True)
    (tmp_path / "nmflib" / "experiments" / "study.py").write_text(
        "from nmflib.experiments import base\nX = 'tabla_cc0'\n"
    )
    (tmp_path / "nmflib" / "experiments" / "base.py").write_text("import pyroomacoustics\nPAIR = ('piano_hands', 1)\n")
    code = "from nmflib.experiments import study\nload('piano_mary')"
    cells = [("markdown", "guitar_intro", []), ("code", code, []), ("code", "load('speech_en_f')", ["solution"])]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}
    for i, (kind, source, tags) in enumerate(cells):
        cell = {"id": str(i), "cell_type": kind, "source": source, "metadata": {"tags": tags}}
        notebook["cells"].append(cell | ({"outputs": [], "execution_count": None} if kind == "code" else {}))
    (tmp_path / "01_a.ipynb").write_text(json.dumps(notebook))
    clips = {row["file"].removesuffix(".flac"): row for row in read_table(ROOT / "data" / "manifest.csv")}
    used, made = run.pages.origin(tmp_path / "01_a.ipynb", clips)
    assert used == {"piano_mary", "tabla_cc0", "piano_left_hand", "piano_right_hand"}
    assert made == ["a simulated room"]


def test_the_picture_of_speed_has_six_bars_of_the_table():
    source = (ROOT / "tools" / "bench.py").read_text(encoding="utf-8")
    (shown,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHOWN"
    )
    keys = [ast.literal_eval(key) for key in shown.value.keys]
    rows = {
        (row["part"], row["what"], row["peer"]) for row in read_table(ROOT / "figures" / "bench.csv") if row["ratio"]
    }
    assert len(keys) <= 6
    assert set(keys) <= rows
