"""The package as a library: what an import brings, and that each module stands on the lower ones only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nmflib

PACKAGE = Path(nmflib.__file__).parent
ORDER = (
    "_threads", "divergence", "nmf", "stft", "hermitian", "blind", "mnmf", "ilrma", "separate", "scenes", "metrics",
    "sweep", "plot", "report", "explore",
)  # fmt: skip


def test_import_brings_numpy_alone():
    code = "import sys, nmflib; print(*sorted({m.split('.')[0] for m in sys.modules} & {%s}))"
    heavy = "'librosa', 'matplotlib', 'scipy', 'sklearn', 'numba', 'soundfile', 'IPython', 'ipywidgets', 'pandas'"
    loaded = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_modules_import_only_those_below_them():
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} == set(ORDER)
    for name in ORDER:
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        above = set(ORDER[ORDER.index(name) :])
        assert not {module.removeprefix("nmflib.") for module in used if module.startswith("nmflib.")} & above, name


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
