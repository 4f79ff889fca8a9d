"""The package as a library: what an import brings, and that each module stands on the lower ones only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nmflib

PACKAGE = Path(nmflib.__file__).parent
CORE = ("divergence", "separate", "nmf", "stft", "hermitian", "blind", "mnmf", "ilrma", "metrics")  # lowest first


def imported(path):
    """The modules of this package that a file imports, in either form: `nmflib.a`, or `nmflib` and a name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} has a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix("nmflib.") for name in found if name.startswith("nmflib.")}


def test_import_brings_numpy_alone():
    code = "import sys, nmflib; print(*sorted({m.split('.')[0] for m in sys.modules} & {%s}))"
    heavy = "'librosa', 'matplotlib', 'scipy', 'sklearn', 'numba', 'soundfile', 'IPython', 'ipywidgets', 'pandas'"
    loaded = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_modules_of_the_core_import_only_those_below_them():
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} == set(CORE)
    for number, name in enumerate(CORE):
        used = {module.split(".")[0] for module in imported(PACKAGE / f"{name}.py")}
        assert not used & {*CORE[number:], "course", "experiments"}, name


def test_the_course_does_not_import_the_experiments():
    for path in (PACKAGE / "course").glob("*.py"):
        assert not {module.split(".")[0] for module in imported(path)} & {"experiments"}, path.name


@pytest.mark.parametrize(
    "statement", ["from nmflib import plot", "import nmflib.plot", "from nmflib.plot import colour"]
)
def test_both_forms_of_import_are_seen(statement, tmp_path):
    (tmp_path / "module.py").write_text(statement)
    assert "plot" in {name.split(".")[0] for name in imported(tmp_path / "module.py")}


@pytest.mark.parametrize("name", ["divergence", "nmf", "hermitian", "mnmf", "ilrma", "blind"])
def test_the_factorizations_need_numpy_only_and_never_print(name):
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    roots = {(n.module or "" if isinstance(n, ast.ImportFrom) else n.names[0].name).split(".")[0] for n in imports}
    assert roots <= {
        "__future__",
        "collections",
        "dataclasses",
        "functools",
        "itertools",
        "math",
        "operator",
        "typing",
        "numpy",
        "nmflib",
    }
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]


def test_all_names_exist_and_are_documented():
    for name in nmflib.__all__:
        assert getattr(nmflib, name).__doc__
