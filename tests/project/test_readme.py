import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_generated_tables_are_current(run):
    run.ROOT = ROOT
    assert run.readme(README) == README
    changed = re.sub(r"(<!-- claims -->\n.*?)C1 ", r"\1C0 ", README, flags=re.DOTALL)
    assert changed != README
    assert run.readme(changed) == README


def test_a_missing_marker_is_named(run):
    run.ROOT = ROOT
    with pytest.raises(ValueError, match="<!-- claims -->"):
        run.readme(README.replace("<!-- claims -->", ""))


def test_links_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert "LICENSE" in links
    assert missing == []


def test_the_commands_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"make (\w+)", README)) - {"NOTEBOOK"}
    assert {"run", "test", "lab", "data"} <= named
    assert named <= set(targets)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake test")
