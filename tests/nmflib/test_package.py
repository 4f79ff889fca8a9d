"""The package as a library: what an import brings, and that each module stands on the lower ones only."""

import ast
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

import nmflib
from nmflib import _threads, blind

PACKAGE = Path(nmflib.__file__).parent
CORE = (
    "_threads",
    "divergence",
    "separate",
    "nmf",
    "stft",
    "hermitian",
    "blind",
    "mnmf",
    "ilrma",
    "metrics",
)  # lowest first


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
    loaded = subprocess.run(
        [sys.executable, "-c", code % (heavy + ", 'threadpoolctl'")], capture_output=True, text=True, check=True
    )
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


X = np.random.default_rng(0).standard_normal((2, 9, 20)) + 0j
LOOPS = {
    "nmf": lambda look: nmflib.nmf(np.abs(X[0]), 2, n_iter=2, callback=look),
    "mnmf_em": lambda look: nmflib.mnmf_em(X, 2, 2, n_iter=2, callback=look),
    "mnmf_mu": lambda look: nmflib.mnmf_mu(X, 2, 2, n_iter=2, callback=look),
    "ilrma": lambda look: nmflib.ilrma(X, 2, n_iter=2, callback=look),
}


def blas_threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_runs_on_one_blas_thread_and_gives_the_others_back(name, two_blas_threads):
    seen = []
    LOOPS[name](lambda t, model: seen.append(blas_threads()))
    assert len(seen) == 2 and {n for threads in seen for n in threads} == {1}
    assert set(blas_threads()) == {2}
    with pytest.raises(ZeroDivisionError):
        LOOPS[name](lambda t, model: 1 / 0)
    assert set(blas_threads()) == {2}


@pytest.mark.parametrize("n_sources", [2, 3])
def test_the_blind_start_runs_on_one_blas_thread(n_sources, two_blas_threads, monkeypatch):
    seen, unpatched = [], blind.smooth
    monkeypatch.setattr(blind, "smooth", lambda *args: seen.append(blas_threads()) or unpatched(*args))
    blind.separate_blind(X, n_sources)
    assert seen and {n for threads in seen for n in threads} == {1}
    assert set(blas_threads()) == {2}


def test_loops_that_overlap_in_two_python_threads_end_with_the_threads_of_the_beginning(two_blas_threads):
    """The first loop to begin is not the last to end, nor does it have to be; within it, both run on one thread."""
    begun, ended, seen = threading.Event(), threading.Event(), []

    def second(t, model):
        if t == 1:
            seen.append(blas_threads())
            begun.set()
            assert ended.wait(60)

    def first(t, model):
        if t == 1:
            seen.append(blas_threads())
            pool.submit(LOOPS["nmf"], second).add_done_callback(lambda done: done.result())
            assert begun.wait(60)

    with ThreadPoolExecutor(1) as pool:
        LOOPS["nmf"](first)
        ended.set()
    assert {n for threads in seen for n in threads} == {1} and len(seen) == 2
    assert set(blas_threads()) == {2}
    LOOPS["mnmf_mu"](lambda t, model: LOOPS["nmf"](lambda t, model: seen.append(blas_threads())))
    assert {n for threads in seen for n in threads} == {1} and len(seen) == 6
    assert set(blas_threads()) == {2}


def test_without_threadpoolctl_nothing_changes(two_blas_threads, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    _threads._controller.cache_clear()
    try:
        seen = []
        LOOPS["nmf"](lambda t, model: seen.append(_threads._controller()))
        assert seen == [None, None]
    finally:
        _threads._controller.cache_clear()
