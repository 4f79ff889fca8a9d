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


def jobs(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()


def steps(path):
    return [step for job in jobs(path) for step in job["steps"]]


def make_targets(command):
    """The targets of the make commands in a line of shell or prose: `make site slides X=1` names two."""
    lines = re.findall(r"\bmake ((?:[\w=./${} -])+)", command)
    return [word for line in lines for word in shlex.split(line) if re.fullmatch(r"[a-z]+", word)]


def test_there_are_workflows_for_tests_versions_and_site():
    assert [path.stem for path in WORKFLOWS] == ["monthly", "site", "test"]
    commands = "\n".join(step.get("run", "") for path in WORKFLOWS for step in steps(path))
    assert {"browser", "site", "test"} <= set(make_targets(commands))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_sound(path):
    for job in jobs(path):
        assert job["timeout-minutes"] if "steps" in job and "needs" not in job else job["runs-on"]
    for step in steps(path):
        assert set(step) & {"run", "uses"}
        assert set(make_targets(step.get("run", ""))) <= set(TARGETS)
        if "uses" in step:
            action, _, version = step["uses"].partition("@v")
            assert int(version) >= NODE_24[action]
            assert not action.endswith("/checkout") or step["with"]["persist-credentials"] is False
    events = yaml.safe_load(path.read_text(encoding="utf-8"))[True]  # YAML reads the key `on` as true
    assert "push" not in events or events["push"] == {"branches": ["main"]}, "a pull request is checked once"


def test_a_deployment_of_the_site_is_not_cut_off():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text(encoding="utf-8"))
    assert workflow["concurrency"]["cancel-in-progress"] is False


def test_the_matrix_is_the_one_promised():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    assert not any("make " in step.get("run", "") for step in workflow["jobs"]["test"]["steps"]), "make is not assumed"


def test_the_matrix_runs_what_make_test_runs():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ntest:")[1].split("\n\n")[0].replace("\\\n", " ")
    expected = [" ".join(line.split()) for line in recipe.splitlines()[1:]]
    expected = [line.replace("$(BIN)/python ", "python ").replace("$(BIN)/", "python -m ") for line in expected]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    commands = [" ".join(step.get("run", "").split()) for step in workflow["jobs"]["test"]["steps"]]
    assert len(expected) >= 5
    assert [command for command in commands if command][1:] == expected


def test_the_commands_of_contributing_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(make_targets(" ".join(re.findall(r"`(make [^`]+)`", text))))
    assert {"run", "test", "lab", "browser", "site", "slides"} <= named
    assert named - {"make"} <= set(TARGETS)
    assert len(text.split()) <= 600, "one page"


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


def test_the_licence_is_one_text_that_is_recognised():
    lines = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "MIT License"
    assert lines[-1].endswith("SOFTWARE.") and len(lines) == 21


def test_the_citation_is_that_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    required = {
        "cff-version": "1.2.0",
        "version": PROJECT["version"],
        "license": PROJECT["license"],
        "type": "software",
    }
    assert {key: citation[key] for key in required} == required
    assert {"message", "title", "authors", "date-released"} <= set(citation)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", citation["date-released"])
    (author,) = citation["authors"]
    assert author["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert citation["title"] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_publisher_is_told_what_to_set():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## When you publish it")[1]
    for words in ("`repository`", "pyproject.toml", "[project.urls]", "Source: GitHub Actions", "CITATION.cff"):
        assert words in text
    assert text.count("- [ ]") >= 4


def test_the_map_of_contributing_names_folders_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:nmflib|tests|tools|data)(?:/\w+)?)`", text))
    assert {"nmflib", "nmflib/course", "nmflib/experiments", "tools", "data/results"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).is_dir()] == []
