"""The lowest versions that pyproject.toml allows, printed as a constraints file for pip."""

import re
import tomllib
from pathlib import Path


def requirements():
    """Every requirement in pyproject.toml, the extras' too."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    return sum(project["optional-dependencies"].values(), project["dependencies"])


if __name__ == "__main__":
    print("\n".join(re.sub(r">=([\w.]+).*", r"==\1", requirement) for requirement in requirements()))
