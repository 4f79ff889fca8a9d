"""environment*.yml, .binder/, constraints.txt and pyproject.toml name the same requirements."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from lowest import requirements  # noqa: E402

# where conda-forge's name is another
PIP_NAME = {"matplotlib-base": "matplotlib", "pysoundfile": "soundfile", "dask-core": "dask"}
FILES = {  # a conda environment and the extras of pyproject.toml that it brings
    "environment.yml": ("notebooks",),
    "environment-dev.yml": ("notebooks", "test", "site", "browser"),
}


def conda_requirements(text):
    """{pip's name: set of version conditions}; every line must be a match spec, under `pip:` a requirement of pip."""
    *lines, from_pip = yaml.safe_load(text)["dependencies"]
    project, *from_pip = from_pip["pip"]
    assert project == "-e .", "the project itself comes last, from its folder"
    specs = [MatchSpec(line, strict=True) for line in lines]
    found = [(spec.name.normalized, str(spec.version).split(",") if spec.version else ()) for spec in specs]
    found += [(req.name, map(str, req.specifier)) for req in map(Requirement, from_pip)]
    names = [canonicalize_name(PIP_NAME.get(name, name)) for name, _ in found]
    assert len(set(names)) == len(names), f"twice in {sorted(names)}"
    return {name: set(conditions) for name, (_, conditions) in zip(names, found, strict=True)}


def pip_requirements(extras):
    found = {"python": {"3.12.*"}, "pip": set()}
    for requirement in map(Requirement, requirements(extras)):
        found[canonicalize_name(requirement.name)] = set(map(str, requirement.specifier))
    return found


@pytest.mark.parametrize(("file", "extras"), FILES.items(), ids=FILES)
def test_conda_users_get_the_same_requirements(file, extras):
    text = (ROOT / file).read_text(encoding="utf-8")
    environment = yaml.safe_load(text)
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"] == ["conda-forge"]
    assert conda_requirements(text) == pip_requirements(extras)


def test_the_python_of_conda_and_binder_is_one_that_is_tested():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert "3.12" in workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert (ROOT / ".binder" / "runtime.txt").read_text() == "python-3.12\n"
    assert (ROOT / ".binder" / "requirements.txt").read_text() == "-e .[notebooks]\n"


def test_an_extra_brings_those_it_names():
    course, notebooks = (set(requirements([extra])) for extra in ("course", "notebooks"))
    assert set(requirements([])) == {"numpy>=2.1", "scipy>=1.14"}
    assert set(requirements([])) < course < notebooks < set(requirements())
    assert not any(name.startswith("nmflib") for name in requirements())
    assert len(requirements()) == len(set(requirements())), "a requirement is there twice"


@pytest.fixture
def exact():
    """The versions of constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_exact_versions_satisfy_every_requirement(exact):
    for requirement in map(Requirement, requirements()):
        assert requirement.specifier.contains(exact[canonicalize_name(requirement.name)]), requirement


def test_exact_versions_can_be_installed_with_the_lowest_python(exact):
    """Debian 12, for instance, has Python 3.11.2."""
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    installed = {canonicalize_name(d.metadata["Name"]): d for d in importlib.metadata.distributions()}
    pinned = {name: d.metadata["Requires-Python"] for name, d in installed.items() if d.version == exact.get(name)}
    assert pinned
    assert [name for name, need in pinned.items() if need and not SpecifierSet(need).contains(f"{python}.0")] == []


def test_the_lowest_versions_are_those_of_pyproject():
    printed = subprocess.run([sys.executable, ROOT / "tools" / "lowest.py"], capture_output=True, text=True, check=True)
    lowest = [Requirement(line) for line in printed.stdout.splitlines()]
    assert [r.name for r in lowest] == [Requirement(r).name for r in requirements()]
    for low, requirement in zip(lowest, map(Requirement, requirements()), strict=True):
        (exact,) = low.specifier
        assert exact.operator == "=="
        assert f">={exact.version}" in map(str, requirement.specifier)
