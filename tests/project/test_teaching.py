import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TEACHING = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def section(notebook):
    """What stands between the heading "Exercises" and the first solution."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.split(r"^#+ Exercises$", text, flags=re.MULTILINE)[1]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_chapter_has_two_to_four_exercises_with_level_and_time(path, run):
    notebook = nbformat.read(path, as_version=4)
    numbers = [number for number, *_ in run.pages.exercises(notebook)]
    assert 2 <= len(numbers) <= 4
    assert numbers == list(range(1, len(numbers) + 1)), "each needs its number, and a mark such as (★★, 10 min)"
    titled = re.findall(r"^(\d)\. \*\*", section(notebook), flags=re.MULTILINE)
    assert len(titled) == len(numbers), "an exercise has no mark such as (★★, 10 min)"
    solutions = re.findall(r"<details><summary>", section(notebook))
    assert solutions, "no solution is folded"


def test_what_it_quotes_is_what_the_notebooks_print():
    guide = re.sub(r"<!-- exercises -->.*<!-- /exercises -->", "", TEACHING, flags=re.DOTALL)
    rows = [line for line in guide.splitlines() if re.match(r"\| \d", line)]
    quoted = 0
    for row in rows:
        path = ROOT / re.search(r"\]\((notebooks/[\w.]+)\)", row)[1]
        outputs = [out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", ())]
        printed = "\n".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs)
        for words in re.findall(r"`([^`]+)`", row):
            assert words in printed, f"{path.name} does not print {words!r}"
            quoted += 1
    assert quoted >= 5


def test_the_minutes_add_up():
    found = re.findall(r"^\| (\d+) \| ([ABC]) \|", TEACHING, flags=re.MULTILINE)
    minutes = {part: sum(int(number) for number, p in found if p in part) for part in ("A", "AB", "ABC")}
    assert minutes["A"] == 45
    assert minutes["AB"] == 90
    assert 120 <= minutes["ABC"] <= 160  # the rest of 180 is for exercises
