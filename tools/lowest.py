"""The lowest versions that pyproject.toml allows, printed as a constraints file for pip."""

import re
import tomllib
from pathlib import Path


def requirements(without=()):
    """Every requirement in pyproject.toml, the extras' too but for those named."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra not in without]
    return sum(extras, project["dependencies"])


if __name__ == "__main__":
    print("\n".join(re.sub(r">=([\w.]+).*", r"==\1", requirement) for requirement in requirements()))
