"""The package as a library: what an import brings, and that each module stands on the lower ones only."""

import ast
import shutil
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
from nmflib.blind import arrays, underdetermined

PACKAGE = Path(nmflib.__file__).parent
CORE = (  # lowest first
    "_threads", "_check", "_unit", "_arrays", "_loop", "divergence", "_objective", "_accelerate", "separate", "_nmf",
    "stft", "_hermitian", "blind.arrays", "blind.determined", "blind.underdetermined", "blind.full_rank",
    "blind.panned", "blind", "_pieces", "recording", "mnmf.posterior", "mnmf.model", "mnmf.start", "mnmf.em",
    "mnmf.mu", "mnmf", "_ilrma", "metrics",
)  # fmt: skip
STANDARD = {
    "__future__", "collections", "contextlib", "dataclasses", "fractions", "functools", "itertools", "math", "operator",
    "os", "threading", "typing", "warnings",
}  # fmt: skip
LAZY = {"scipy", "threadpoolctl", "mir_eval", "unittest", "resource"}  # imported inside the functions that need them


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}
OUTSIDE = ("__init__", "__main__", "course", "experiments")
OWN = {name: path for name, path in MODULES.items() if name.split(".")[0] not in OUTSIDE}


def imports(path):
    """What a file imports, as (module, name or None), in either form."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, None) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name} has a relative import"
            found |= {(node.module, alias.name) for alias in node.names}
    return found


def imported(path):
    """The modules of this package that a file imports: `nmflib.a`, or `nmflib` and a name that is one."""
    names = {
        f"{module}.{name}" if name and f"{module}.{name}"[7:] in MODULES else module for module, name in imports(path)
    }
    return {name.removeprefix("nmflib.") for name in names if name.startswith("nmflib.")}


def test_import_brings_numpy_alone():
    code = "import sys, nmflib; print(*sorted({m.split('.')[0] for m in sys.modules} & {%s}))"
    heavy = (
        "'librosa', 'matplotlib', 'scipy', 'sklearn', 'numba', 'soundfile', 'threadpoolctl', "
        "'IPython', 'ipywidgets', 'pandas'"
    )
    loaded = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_core_works_without_the_collection(tmp_path):
    copy = tmp_path / "nmflib"
    for path in (*OWN.values(), PACKAGE / "__init__.py"):
        target = copy / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    code = "import numpy as np, nmflib; print(nmflib.__file__, nmflib.nmf(np.ones((3, 4)), 1, n_iter=1).W.shape)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split(" ", 1) == [str(copy / "__init__.py"), "(3, 1)\n"]


def test_modules_of_the_core_import_only_those_below_them():
    assert set(OWN) == set(CORE)
    for number, name in enumerate(CORE):
        assert imported(OWN[name]) <= set(CORE[:number]), name


def test_the_course_does_not_import_the_experiments():
    for name, path in MODULES.items():
        if name.startswith("course"):
            assert not {module for module in imported(path) if module.startswith("experiments")}, name


@pytest.mark.parametrize(
    "statement", ["from nmflib import _nmf", "import nmflib._nmf", "from nmflib._nmf import exponent_gamma"]
)
def test_all_forms_of_import_are_seen(statement, tmp_path):
    (tmp_path / "module.py").write_text(statement)
    assert imported(tmp_path / "module.py") == {"_nmf"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_short_and_uses_public_names_of_the_others(name):
    path = MODULES[name]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert not {found for module, found in imports(path) if found and found.startswith("_") and found not in MODULES}


@pytest.mark.parametrize("name", CORE)
def test_the_core_needs_numpy_only_and_never_prints(name):
    tree = ast.parse(OWN[name].read_text(encoding="utf-8"))
    roots = {module.split(".")[0] for module, _ in imports(OWN[name])}
    assert roots <= STANDARD | {"numpy", "nmflib"} | LAZY
    top = {node.names[0].name for node in tree.body if isinstance(node, ast.Import)}
    top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not {module.split(".")[0] for module in top} & (LAZY - {"unittest"})
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]


@pytest.mark.parametrize("name", nmflib.__all__)
def test_all_names_exist_and_have_a_docstring_of_their_own(name):
    doc = getattr(nmflib, name).__doc__
    assert doc and not doc.startswith(f"{name}(")  # what @dataclass writes where there is none


X = np.random.default_rng(0).standard_normal((2, 9, 20)) + 0j
LOOPS = {
    "nmf": lambda look: nmflib.nmf(np.abs(X[0]), 2, n_iter=2, callback=look),
    "mnmf_em": lambda look: nmflib.mnmf_em(X, 2, 2, n_iter=2, callback=look),
    "mnmf_mu": lambda look: nmflib.mnmf_mu(X, 2, 2, n_iter=2, callback=look),
    "ilrma": lambda look: nmflib.ilrma(X, 2, n_iter=2, callback=look),
}


def blas_threads():
    """Threads of NumPy's BLAS; SciPy brings one of its own, which the loops do not use."""
    libraries = threadpoolctl.threadpool_info()
    return [x["num_threads"] for x in libraries if x["user_api"] == "blas" and "numpy" in x["filepath"]]


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
    seen, unpatched = [], arrays.covariance
    for module in (arrays, underdetermined):
        monkeypatch.setattr(module, "covariance", lambda *args: seen.append(blas_threads()) or unpatched(*args))
    blind.separate_blind(X, n_sources, mixing="convolutive")
    assert seen and {n for threads in seen for n in threads} == {1}
    assert set(blas_threads()) == {2}


@pytest.mark.parametrize("outer", ["main thread", "worker thread"])
@pytest.mark.parametrize("first_ends", ["first", "last"])
def test_loops_that_overlap_end_with_the_threads_of_the_beginning(outer, first_ends, two_blas_threads):
    """A second loop begins within the first one, in another Python thread, and ends before or after it."""
    begun, may_end, seen, later = threading.Event(), threading.Event(), [], []

    def second(t, model):
        begun.set()
        assert may_end.wait(60)
        seen.append(blas_threads())

    def first(t, model):
        seen.append(blas_threads())
        if t == 1:
            later.append(pool.submit(LOOPS["nmf"], second))
            assert begun.wait(60)
            if first_ends == "last":
                may_end.set()
                later[0].result()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(LOOPS["nmf"], first).result() if outer == "worker thread" else LOOPS["nmf"](first)
        may_end.set()
        later[0].result()
    assert len(seen) == 4 and {n for threads in seen for n in threads} == {1}
    assert set(blas_threads()) == {2}


def test_a_loop_within_a_loop_does_not_give_the_threads_back(two_blas_threads):
    seen = []
    LOOPS["mnmf_mu"](lambda t, model: LOOPS["nmf"](lambda t, model: seen.append(blas_threads())))
    assert {n for threads in seen for n in threads} == {1} and len(seen) == 4
    assert set(blas_threads()) == {2}


def test_without_threadpoolctl_nothing_changes(two_blas_threads, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    _threads._libraries.cache_clear()
    try:
        seen = []
        LOOPS["nmf"](lambda t, model: seen.append(_threads._libraries()))
        assert seen == [[], []]
    finally:
        _threads._libraries.cache_clear()
