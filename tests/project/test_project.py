"""What surrounds the notebooks: how to cite, how to contribute, what the hosted checks run."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NODE_24 = {  # the first major version of each action that runs on Node 24, which hosted runners have
    "actions/checkout": 6,
    "actions/setup-python": 6,
    "actions/upload-artifact": 7,
    "actions/upload-pages-artifact": 5,
    "actions/deploy-pages": 5,
    "mamba-org/setup-micromamba": 3,
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def make_targets(command):
    """The targets of the make commands in a line of shell or prose: `make site slides X=1` names two."""
    lines = re.findall(r"\bmake ((?:[\w=./${} -])+)", command)
    return [word for line in lines for word in shlex.split(line) if re.fullmatch(r"[a-z]+", word)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_targets_that_exist_and_actions_that_run(path):
    for step in steps(path):
        assert set(make_targets(step.get("run", ""))) <= set(TARGETS)
        if "uses" in step:
            action, _, version = step["uses"].partition("@v")
            assert int(version) >= NODE_24[action]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "TEACHING.md", "data/README.md"])
def test_the_commands_of_a_page_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    commands = re.findall(r"`(make [^`]+)`|^(make \w+)", text, flags=re.MULTILINE)
    named = make_targets("\n".join(quoted or line for quoted, line in commands))
    assert named and set(named) <= set(TARGETS)


def test_the_matrix_runs_what_make_test_runs():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ntest:")[1].split("\n\n")[0].replace("\\\n", " ")
    expected = [" ".join(line.split()) for line in recipe.splitlines()[1:]]
    expected = [line.replace("$(BIN)/python ", "python ").replace("$(BIN)/", "python -m ") for line in expected]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    commands = [" ".join(step["run"].split()) for step in job["steps"] if "run" in step]
    assert len(expected) >= 5
    assert commands[1:] == expected
    assert PROJECT["requires-python"] == f">={job['strategy']['matrix']['python'][0]}"


def test_text_files_have_the_same_line_ends_everywhere():
    kinds = dict(line.split(" ", 1) for line in (ROOT / ".gitattributes").read_text().splitlines())
    assert kinds.pop("*") == "text=auto eol=lf"
    assert set(kinds.values()) == {"binary"}
    text = {".cff", ".csv", ".css", ".ipynb", ".js", ".md", ".py", ".toml", ".txt", ".yml"}
    folders = ("data", "figures", "nmflib", "notebooks", "tests", "tools")
    files = [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]
    files = [path for path in files if path.is_file() and "__pycache__" not in path.parts]
    assert [path.name for path in files if path.suffix in text and b"\r" in path.read_bytes()] == []
    binary = {path.suffix for path in files if b"\0" in path.read_bytes()[:8000]}
    assert {f"*{suffix}" for suffix in binary} <= set(kinds)


def test_the_citation_is_that_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert citation["title"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_map_of_contributing_names_folders_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:nmflib|tests|tools|data)(?:/\w+)?)`", text))
    assert {"nmflib", "nmflib/course", "nmflib/experiments", "tools", "data/results"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).is_dir()] == []
