"""environment.yml, constraints.txt and pyproject.toml name the same requirements."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from lowest import requirements  # noqa: E402

PIP_NAME = {"matplotlib-base": "matplotlib", "pysoundfile": "soundfile"}  # where conda-forge's name is another


def conda_requirements(text):
    """{pip's name: set of version conditions}; every line must be a match spec, under `pip:` a requirement of pip."""
    *lines, from_pip = yaml.safe_load(text)["dependencies"]
    specs = [MatchSpec(line, strict=True) for line in lines]
    found = [(spec.name.normalized, str(spec.version).split(",") if spec.version else ()) for spec in specs]
    found += [(req.name, map(str, req.specifier)) for req in map(Requirement, from_pip["pip"])]
    names = [canonicalize_name(PIP_NAME.get(name, name)) for name, _ in found]
    assert len(set(names)) == len(names), f"twice in {sorted(names)}"
    return {name: set(conditions) for name, (_, conditions) in zip(names, found, strict=True)}


def pip_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {"python": set(project["requires-python"].split(",")), "pip": set()}
    for requirement in map(Requirement, requirements(without=("bench",))):
        found[canonicalize_name(requirement.name)] = set(map(str, requirement.specifier))
    return found


def test_conda_users_get_the_same_requirements():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"] == ["conda-forge"]
    assert conda_requirements((ROOT / "environment.yml").read_text()) == pip_requirements()


@pytest.mark.parametrize("line", ["numpy>=1.0", "numpy", "numpy>=2.1,<3", "another>=1"])
def test_a_line_that_differs_is_noticed(line):
    text = re.sub(r"numpy>=[\d.]+", line, (ROOT / "environment.yml").read_text())
    assert conda_requirements(text) != pip_requirements()


@pytest.mark.parametrize("line", ["numpy>=>2", "numpy >=", "scipy"])
def test_a_line_that_cannot_be_read_or_is_there_twice_is_noticed(line):
    text = re.sub(r"numpy>=[\d.]+", line, (ROOT / "environment.yml").read_text())
    with pytest.raises((InvalidMatchSpecError, AssertionError)):
        conda_requirements(text)


def test_exact_versions_satisfy_every_requirement():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    exact = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    for requirement in map(Requirement, requirements()):
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)]), requirement


def test_the_lowest_versions_are_those_of_pyproject():
    printed = subprocess.run([sys.executable, ROOT / "tools" / "lowest.py"], capture_output=True, text=True, check=True)
    lowest = [Requirement(line) for line in printed.stdout.splitlines()]
    assert [r.name for r in lowest] == [Requirement(r).name for r in requirements()]
    for low, requirement in zip(lowest, map(Requirement, requirements()), strict=True):
        (exact,) = low.specifier
        assert exact.operator == "=="
        assert f">={exact.version}" in map(str, requirement.specifier)
