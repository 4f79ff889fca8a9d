"""The lowest versions that pyproject.toml allows, printed as a constraints file for pip."""

import re
import tomllib
from pathlib import Path


def requirements(extras=None):
    """The requirements of the package and of the named extras, or of all; an extra may bring another one of them."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found, open_ = list(project["dependencies"]), list(project["optional-dependencies"] if extras is None else extras)
    for extra in open_:  # grows while it is read
        for requirement in project["optional-dependencies"][extra]:
            own = re.fullmatch(rf"{project['name']}\[([\w, -]+)\]", requirement)
            if own:
                open_ += [name.strip() for name in own[1].split(",") if name.strip() not in open_]
            else:
                found.append(requirement)
    return found


if __name__ == "__main__":
    print("\n".join(re.sub(r">=([\w.]+).*", r"==\1", requirement) for requirement in requirements()))
