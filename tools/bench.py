"""Compare the speed of nmflib with scikit-learn, torchnmf, pyroomacoustics and ssspy.

    python tools/bench.py [--full] [part ...]      (the names in PARTS; or all)
    python tools/bench.py --draw                   (the picture again, from the table as it is)

Both programs of a comparison run in turn in this process, A B B A …, on one BLAS thread, from the same start, for the
same number of iterations or to the same cost. The CPU times are compared; a ratio is the median over the rounds (with
its range). Where both programs minimise the same cost, there is a ratio only if the two costs agree to COST_TOLERANCE.
EM and MU are compared per iteration with programs that fit another model, and the table says so. A missed target stays
in the table, with a profile in the column `why`.

On Linux malloc is pinned: it keeps the memory that it has once had, as it does anyway in a long-lived process. In a
fresh process without pinning, scikit-learn is up to twice as slow.

Writes figures/bench.csv (keeping the rows of parts not named) and figures/bench.png.
"""

from __future__ import annotations

# ruff: noqa: B023, E402, E731 — every lambda is used up in its turn of the loop; BLAS reads its threads when imported
import contextlib
import io
import os
import sys

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}  # read when a process starts
if __name__ == "__main__" and sys.platform == "linux" and not MALLOC.items() <= os.environ.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | MALLOC)
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cProfile
import csv
import platform
import pstats
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
from sklearn.decomposition import non_negative_factorization

from nmflib import STFT, beta_divergence, initialise, mnmf_em, mnmf_mu, nmf, separate_blind, wiener
from nmflib._objective import power, sum_log
from nmflib.course import plot, scenes
from nmflib.course.explore import DPI
from nmflib.course.figures import drawn, png
from nmflib.course.listen import common_gain, players

ROOT = Path(__file__).resolve().parents[1]
TABLE, PICTURE = ROOT / "figures" / "bench.csv", ROOT / "figures" / "bench.png"
COST_TOLERANCE = 1e-6  # relative
OWN = "its own products and passes"  # a lower bound: a program that computes nothing else
CLIPS = ("music_coffee", "speech_en_f")
FIELDS = [
    "part", "what", "peer", "size", "unit", "ours", "peer_value", "ratio", "lowest", "highest", "target", "reached",
    "cost", "why", "mode", "machine",
]  # fmt: skip

Row = dict[str, Any]


def seconds(f: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = f()
    return time.process_time() - start, result


def race(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> tuple[np.ndarray, Any, Any]:
    """CPU seconds (rounds, 2), A B B A …, and the last results. A first, untimed call of each warms the caches."""
    a, b = ours(), peer()
    times = np.empty((rounds, 2))
    for i in range(rounds):
        if i % 2:
            times[i, 1], b = seconds(peer)
            times[i, 0], a = seconds(ours)
        else:
            times[i, 0], a = seconds(ours)
            times[i, 1], b = seconds(peer)
    return times, a, b


def profile(f: Callable[[], Any]) -> str:
    """The three functions in which one call spends most of its CPU time."""
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(f)
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in stats.values())
    most = sorted(stats.items(), key=lambda item: -item[1][2])[:3]
    return "CPU of nmflib: " + ", ".join(f"{name[2].strip('<>')} {v[2] / total:.0%}" for name, v in most)


def compared(
    part: str, what: str, peer: str, size: str, times: np.ndarray, target: float | None, n_iter: int, **more: Any
) -> Row:
    """A row of the table: milliseconds per iteration, and how many times faster than the peer."""
    ratio = times[:, 1] / times[:, 0]
    ours, theirs = np.median(times, axis=0) / n_iter * 1e3
    row = dict(part=part, what=what, peer=peer, size=size, unit="ms", ours=f"{ours:.3g}", peer_value=f"{theirs:.3g}")
    row |= dict(ratio=f"{np.median(ratio):.2f}", lowest=f"{ratio.min():.2f}", highest=f"{ratio.max():.2f}")
    row |= dict(target="" if target is None else f"{target:g}", cost="", why="")
    row["reached"] = "" if target is None else "yes" if np.median(ratio) >= target else "no"
    return row | more


def checked(row: Row, ours: float, peer: float, profiled: Callable[[], Any]) -> Row:
    """The row with the difference of the costs; no ratio if they differ; the reason if the target is missed."""
    difference = abs(ours - peer) / abs(peer)
    row["cost"] = f"{difference:.0e}"
    if not difference <= COST_TOLERANCE:
        row |= dict(ratio="", lowest="", highest="", reached="no", why="the costs differ: no ratio")
    elif row["reached"] == "no":
        row["why"] = profile(profiled)
    return row


def spectrogram(name: str, beta: float) -> np.ndarray:
    """(513, 597) of 9.5 s of a clip, magnitude, or power for β = 0, far above scikit-learn's absolute thresholds."""
    x, rate = scenes.load(name)
    x = scenes.mono(x)[: int(9.5 * rate)]
    V = np.abs(STFT(1024, hop=256)(x)) ** (2 if beta == 0 else 1)
    return np.maximum(V / V.mean(), 1e-9) * 1e20


def scikit_mu(V: np.ndarray, W: np.ndarray, H: np.ndarray, beta: float, n_iter: int) -> tuple[np.ndarray, np.ndarray]:
    W, H, _ = non_negative_factorization(
        V, W=W.copy(), H=H.copy(), n_components=W.shape[1], init="custom", solver="mu", beta_loss=beta, tol=0,
        max_iter=n_iter,
    )  # fmt: skip
    return W, H


def scikit_cd(V: np.ndarray, W: np.ndarray, H: np.ndarray, n_iter: int) -> tuple[np.ndarray, np.ndarray]:
    W, H, _ = non_negative_factorization(
        V, W=W.copy(), H=H.copy(), n_components=W.shape[1], init="custom", solver="cd", tol=0, max_iter=n_iter
    )
    return W, H


def torch_mu(V: np.ndarray, W: np.ndarray, H: np.ndarray, beta: float, n_iter: int) -> tuple[np.ndarray, np.ndarray]:
    import torch
    import torchnmf.nmf

    torch.set_num_threads(1)
    model = torchnmf.nmf.NMF(W=torch.from_numpy(W.copy()), H=torch.from_numpy(H.T.copy()))
    model.fit(torch.from_numpy(V.T.copy()), beta=beta, tol=-1e300, max_iter=n_iter)
    return model.W.detach().numpy(), model.H.detach().numpy().T


def random_problem(F: int, N: int, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.gamma(0.5, size=(F, N)) + 1e-3, rng.random((F, r)) + 0.1, rng.random((r, N)) + 0.1


def bare_passes(V: np.ndarray, W: np.ndarray, H: np.ndarray, beta: float, n_iter: int) -> None:
    """The matrix products and element-wise passes of an iteration and of its cost, 128 bins at a time; nothing else."""
    F, N = V.shape
    H_T, buffers = np.ascontiguousarray(H.T), np.empty((3, 128, N))
    for step in range(2 * n_iter):
        for i in range(0, F, 128):
            V_, W_ = V[i : i + 128], W[i : i + 128]
            V_hat, positive, negative = buffers[:, : len(V_)]
            if beta != 2:
                np.matmul(W_, H, out=V_hat)
            if beta == 2:
                negative = V_
            elif beta == 1:
                np.divide(V_, V_hat, out=negative)
            elif beta == 0:
                np.divide(1, V_hat, out=positive)
                np.multiply(V_, positive, out=negative)
                np.multiply(negative, positive, out=negative)
            else:
                power(V_hat, beta - 2, out=negative)
                np.multiply(negative, V_hat, out=positive)
                np.multiply(negative, V_, out=negative)
            for part in (negative,) if beta in (1, 2) else (negative, positive):
                _ = W_.T @ part if step % 2 else part @ H_T
            if step % 2 or beta == 2:
                continue
            if beta == 1:
                np.vdot(np.log(V_hat, out=V_hat), V_)
            elif beta == 0:
                np.vdot(V_, positive), sum_log(V_hat)
            else:
                np.vdot(V_hat, positive), np.vdot(V_, positive)


def bench_nmf(full: bool) -> list[Row]:
    rows = []
    sizes = [(513, 600, 10, 100), (1025, 2000, 40, 40)] if full else [(513, 600, 10, 30), (1025, 1000, 40, 5)]
    for F, N, r, n in sizes:
        V, W, H = random_problem(F, N, r)
        rounds = 5 if full else 3
        size = f"{F}×{N}, r = {r}"
        for beta in (0, 1, 2, 0.5, 1.5, 3, 0.3):
            if not full and beta in (0.5, 1.5, 0.3) and r == 40:
                continue
            ours = lambda beta=beta: nmf(V, r, beta=beta, n_iter=n, init=(W, H))
            theirs = lambda beta=beta: scikit_mu(V, W, H, beta, n)
            bare = lambda beta=beta: bare_passes(V, W, H, beta, n)
            times, a, b = race(ours, theirs, rounds)
            row = compared("nmf", f"nmf, β = {beta}", "scikit-learn", size, times, 1.1 if beta == 2 else None, n)
            rows.append(checked(row, a.cost[-1], beta_divergence(V, b[0] @ b[1], beta), ours))
            alone, _, _ = race(ours, bare, rounds)
            bound = compared("nmf", f"nmf, β = {beta}", OWN, size, alone, 1 / 1.35, n)
            rows.append(bound | {"why": profile(ours) if bound["reached"] == "no" else ""})
        if r == 10:
            ours = lambda: nmf(V, r, beta=1, n_iter=n, init=(W, H))
            times, a, b = race(ours, lambda: torch_mu(V, W, H, 1, n), rounds)
            row = compared("nmf", "nmf, β = 1", "torchnmf", size, times, None, n)
            rows.append(checked(row, a.cost[-1], beta_divergence(V, b[0] @ b[1], 1), ours))
    return rows


class Reached(Exception):  # noqa: N818 — nothing went wrong
    """Raised by a callback, to stop."""


def iterations_needed(V: np.ndarray, start: tuple[np.ndarray, np.ndarray], beta: float, goal: float) -> int:
    """Accelerated iterations until the cost is at most `goal`, at most 600: then 0."""

    def watch(t: int, model: Any) -> None:
        rounding = 20 * np.finfo(V.dtype).eps * model.cost[0]
        assert model.cost[-1] <= model.cost[-2] + rounding, "an accelerated cost increased"
        if model.cost[-1] <= goal:
            raise Reached(t)

    try:
        nmf(V, start[0].shape[1], beta=beta, n_iter=600, init=start, accelerate=True, callback=watch)
    except Reached as reached:
        return int(reached.args[0])
    return 0


def iterations_of_cd(V: np.ndarray, W: np.ndarray, H: np.ndarray, goal: float) -> int:
    """Iterations of scikit-learn's coordinate descent until the cost is at most `goal`, at most 600: then 0."""
    for n in range(1, 601):
        W, H = scikit_cd(V, W, H, 1)
        if beta_divergence(V, W @ H, 2) <= goal:
            return n
    return 0


def bench_accelerate(full: bool) -> list[Row]:
    """CPU time to reach the cost that scikit-learn's multiplicative rule has after 200 iterations."""
    rows = []
    for beta in (1, 0, 2):
        results: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
        for name in CLIPS if full else CLIPS[:1]:
            V = spectrogram(name, beta)
            for seed in range(10 if full else 3):
                start = nmf(V, 10, beta=beta, n_iter=0, rng=seed)
                W, H = start.W * 1e10, start.H / 1e10  # both far from the thresholds
                theirs, (W_peer, H_peer) = seconds(lambda: scikit_mu(V, W, H, beta, 200))
                scaled = V / 1e20, W / 1e10, H / 1e10
                goal = beta_divergence(scaled[0], (W_peer / 1e10) @ (H_peer / 1e10), beta)
                if seed == 0:
                    plain = nmf(scaled[0], 10, beta=beta, n_iter=200, init=scaled[1:]).cost[-1]
                    assert abs(plain - goal) <= COST_TOLERANCE * goal, f"{name}: costs differ, {plain} and {goal}"
                for dtype in ("float64", "float32"):
                    V_, *init = (x.astype(dtype) for x in scaled)
                    n = iterations_needed(V_, tuple(init), beta, goal)
                    ours = seconds(lambda: nmf(V_, 10, beta=beta, n_iter=n, init=init, accelerate=True))[0]
                    times = (ours if n else np.inf, theirs, n)
                    results.setdefault((dtype, "scikit-learn, 200 iterations"), []).append(times)
                    if beta == 2 and dtype == "float64":
                        n_cd = iterations_of_cd(*scaled, goal)
                        cd = seconds(lambda: scikit_cd(*scaled, n_cd))[0] if n_cd else 1e3
                        results.setdefault((dtype, "scikit-learn, cd"), []).append((times[0], cd, n))
        for (dtype, peer), result in results.items():
            what = f"accelerate=True, β = {beta}" + (", float32" if dtype == "float32" else "")
            needed = [n for _, _, n in result]
            size = f"513×{V.shape[1]}, r = 10, {len(result)} runs"
            target = None if beta != 2 else 1 if peer.endswith("cd") else 5
            row = compared("accelerate", what, peer, size, np.array([pair[:2] for pair in result]), target, 1)
            never = f", {needed.count(0)} runs not within 600" if 0 in needed else ""
            row["cost"] = f"{np.median(needed):.0f} iterations{never}"
            rows.append(row)
    return rows


def bench_multichannel(full: bool) -> list[Row]:
    import pyroomacoustics as pra
    from ssspy.bss.mnmf import GaussMNMF

    rng = np.random.default_rng(0)
    F, N = (513, 400) if full else (513, 150)
    X = (rng.standard_normal((2, F, N)) + 1j * rng.standard_normal((2, F, N))) * rng.gamma(0.5, size=(F, N))
    start = initialise(X, 2, 10, "random")
    frames = np.ascontiguousarray(X.transpose(2, 1, 0))
    size, n, rounds = f"2 channels, {F}×{N}, 2 × 10", 10 if full else 4, 5 if full else 2
    em = lambda n=n: mnmf_em(X, 2, 10, n_iter=n, init=start)
    rows = []
    times, _, _ = race(em, lambda: pra.bss.fastmnmf2(frames, n_src=2, n_iter=n, n_components=10), rounds)
    rows.append(compared("multichannel", "mnmf_em", "fastmnmf2", size, times, 3, n, cost="another model"))
    slow = 3 if full else 1
    gauss = lambda: GaussMNMF(n_basis=10, n_sources=2, record_loss=False)(X, n_iter=slow)
    times, _, _ = race(em, gauss, 3 if full else 1)
    times[:, 1] *= n / slow
    rows.append(compared("multichannel", "mnmf_em", "ssspy GaussMNMF", size, times, 50, n, cost="another model"))
    for order, target in (("joint", 3.0), ("paper", None)):
        mu = lambda order=order: mnmf_mu(X, 2, 10, n_iter=n, init=start, order=order)
        times, _, _ = race(mu, em, rounds)
        what = f'mnmf_mu, "{order}"'
        rows.append(compared("multichannel", what, "mnmf_em", size, times, target, n, cost="another cost"))
        if rows[-1]["reached"] == "no":
            rows[-1]["why"] = profile(mu)
    return rows


def bench_growth(full: bool) -> list[Row]:
    """Exponents p of time ~ size^p, from a straight line through the logarithms."""

    def one(sizes: list[int], run: Callable[[int], Callable[[int], Any]], what: str, size: str, most: float) -> Row:
        per_iteration = []
        for n in sizes:
            f = run(n)
            f(1)
            per_iteration.append(
                np.median([seconds(lambda f=f: f(3))[0] - seconds(lambda f=f: f(1))[0] for _ in "abc"]) / 2
            )
        p = np.polyfit(np.log(sizes), np.log(np.maximum(per_iteration, 1e-6)), 1)[0]
        times = ", ".join(f"{1e3 * t:.3g}" for t in per_iteration)
        row = dict(part="growth", what=what, peer="", size=size, unit="exponent", ours=f"{p:.2f}", peer_value="")
        row |= dict(ratio="", lowest="", highest="", target=f"{most:g}", reached="yes" if p <= most else "no", cost="")
        return row | {"why": f"ms per iteration at {sizes}: {times}"}

    def rank_one(shape: tuple[int, int], r: int, beta: float) -> Callable[[int], Any]:
        V, W, H = random_problem(*shape, r)
        return lambda n: nmf(V, r, beta=beta, n_iter=n, init=(W, H))

    def channels(n_channels: int, n_sources: int) -> Callable[[int], Any]:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n_channels, 257, 200)) + 1j * rng.standard_normal((n_channels, 257, 200))
        start = initialise(X, n_sources, 4, "random")
        return lambda n: mnmf_em(X, n_sources, 4, n_iter=n, init=start)

    frames = [300, 1000, 3000, 10000] if full else [300, 1000, 3000]
    F = 2049 if full else 513
    rows = [
        one(frames, lambda n, b=b: rank_one((F, n), 10, b), f"nmf, β = {b}, against N", f"{F}×N, r = 10", 1.15)
        for b in (0, 1, 2)
    ]
    rows.append(
        one([5, 10, 20, 40, 80], lambda r: rank_one((513, 600), r, 1), "nmf, β = 1, against r", "513×600", 1.15)
    )
    rows.append(one([2, 3, 4, 6], lambda J: channels(2, J), "mnmf_em, against J", "2 channels, 257×200", 2.15))
    rows.append(one([2, 3, 4, 6], lambda n: channels(n, 2), "mnmf_em, against I", "257×200, 2 sources", 3.15))
    return rows


def limit(part: str, what: str, size: str, unit: str, values: list[float], most: float, shown: float, why: str) -> Row:
    """A row that holds a time against the longest it may be."""
    row = dict(part=part, what=what, peer="", size=size, unit=unit, ours=f"{shown:.3g}", peer_value="")
    row |= dict(ratio=f"{most / shown:.2f}", lowest=f"{most / max(values):.2f}", highest=f"{most / min(values):.2f}")
    return row | dict(target="1", reached="yes" if shown <= most else "no", cost="", why=why)


def slider_steps(stem: str, n_steps: int) -> list[float]:
    """CPU milliseconds per step of the slider of a notebook: its `draw`, the picture, the players."""
    path = next((ROOT / "notebooks").glob(f"{stem}_*.ipynb"))
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    code = [cell.source for cell in cells if "colab" not in cell.metadata.get("tags", ())]
    last = next(i for i, source in enumerate(code) if "def draw(" in source)
    space: dict[str, Any] = {"__name__": "slider"}
    here = os.getcwd()
    os.chdir(path.parent)
    with contextlib.redirect_stdout(io.StringIO()):
        for source in code[: last + 1]:
            exec(source, space)
    os.chdir(here)
    plt.close("all")
    rng = np.random.default_rng(0)
    choices = {
        "04": lambda: dict(α=rng.uniform(0.5, 40), β=rng.uniform(0.5, 40), r=int(rng.integers(1, 6)),
                           divergence=rng.choice(list(space["BETAS"]))),
        "05": lambda: dict(α=rng.uniform(1, 60), β=rng.uniform(1, 60), window=int(2 ** rng.integers(6, 13))),
    }  # fmt: skip

    def step() -> None:
        figure, _, sounds = drawn(space["draw"](**choices[stem]()))
        png(figure, dpi=2 * DPI)
        scaled = common_gain({label: sound for label, (sound, _) in sounds.items()})
        players({label: (scaled[label], rate) for label, (_, rate) in sounds.items()})

    step()
    return [1e3 * seconds(step)[0] for _ in range(n_steps)]


def bench_slider(full: bool) -> list[Row]:
    rng = np.random.default_rng(0)
    x, stft = rng.standard_normal(4 * 8000), STFT(1024, hop=256)

    def separate() -> None:
        X = stft(x)
        model = nmf(np.abs(X), 4, beta=1, n_iter=100)
        for estimate in wiener(X, model.components()):
            stft.inverse(estimate, len(x))

    separate()
    times = [1e3 * seconds(separate)[0] for _ in range(15 if full else 5)]
    median = float(np.median(times))
    why = profile(separate) if median > 100 else ""
    rows = [limit("slider", "STFT, 100 KL, masks, ISTFT", "4 s at 8 kHz, r = 4", "ms", times, 100, median, why)]
    for stem in ("04", "05"):
        times = slider_steps(stem, 40 if full else 8)
        high = float(np.quantile(times, 0.95))
        why = f"median {np.median(times):.0f} ms"
        rows.append(
            limit("slider", f"slider step of {stem}, 95th percentile", "with figure", "ms", times, 400, high, why)
        )
    return rows


def bench_import(full: bool) -> list[Row]:
    code = "import time; t = time.process_time(); import nmflib; print(time.process_time() - t)"
    run = lambda code: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    times = [1e3 * float(run(code)) for _ in range(9 if full else 3)]
    heavy = "{'librosa', 'matplotlib', 'scipy', 'sklearn', 'numba', 'soundfile'}"
    found = run(f"import sys, nmflib._nmf; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {heavy}))").split()
    why = "nmflib._nmf loads of librosa, matplotlib, scipy, …: " + (", ".join(found) or "none")
    return [limit("import", "import nmflib", "NumPy included", "ms", times, 300, float(np.median(times)), why)]


def bench_threads(full: bool) -> list[Row]:
    """Wall time with the default number of BLAS threads, compared with one thread."""
    code = (
        "import numpy as np, time; from nmflib import nmf; V = np.random.default_rng(0).gamma(0.5, size=(513, 600)); "
        "nmf(V, 10, n_iter=5); t = time.perf_counter(); nmf(V, 10, n_iter=100); print(time.perf_counter() - t)"
    )
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    wall = lambda env: float(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True,
                                            check=True).stdout)  # fmt: skip
    times = np.array([(wall(free), wall(dict(os.environ))) for _ in range(9 if full else 3)])
    row = compared("threads", "nmf, β = 1, default threads", "one thread", "513×600, r = 10", times, 1 / 1.1, 100)
    return [row | {"unit": "ms (wall)"}]


def bench_blind(full: bool) -> list[Row]:
    """CPU time of a blind separation, compared with the duration of the recording."""
    images, rate = scenes.stereo_scene("piano_hands")
    x = images.sum(axis=0)
    X = STFT(4096)(np.tile(x, 1 + 10 * rate // x.shape[1])[:, : 10 * rate])
    separate = lambda: separate_blind(X, 2, mixing="convolutive")
    times = [1e3 * seconds(separate)[0] for _ in range(5 if full else 2)]
    median = float(np.median(times))
    return [limit("blind", "separate_blind, 2 of 2", f"10 s at {rate} Hz", "ms", times, 10e3, median, "")]


def machine() -> str:
    """Processor, cores, load, and the versions that matter."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    pinned = "malloc pinned, " if MALLOC.items() <= os.environ.items() else ""
    load = f"{os.getloadavg()[0]:.0f}" if hasattr(os, "getloadavg") else "?"
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{model}, {os.cpu_count()} cores, load {load}, {pinned}{versions}"


SHOWN = {  # the bars in README: part, what and peer of a row, and a label for readers
    ("accelerate", "accelerate=True, β = 1", "scikit-learn, 200 iterations"): (
        "Kullback–Leibler, to the same fit\n(scikit-learn)"
    ),
    ("accelerate", "accelerate=True, β = 0", "scikit-learn, 200 iterations"): (
        "Itakura–Saito, to the same fit\n(scikit-learn)"
    ),
    ("accelerate", "accelerate=True, β = 2", "scikit-learn, cd"): (
        "Euclidean, to the same fit\n(scikit-learn, its faster solver)"
    ),
    ("multichannel", "mnmf_em", "fastmnmf2"): "multichannel iteration\n(FastMNMF2, another model)",
    ("blind", "separate_blind, 2 of 2", ""): "blind separation of 10 s\n(10 s)",
    ("slider", "slider step of 04, 95th percentile", ""): "slider of chapter 4\n(0.4 s)",
}


def draw(rows: list[Row]) -> None:
    """At most six bars: how many times faster, on a logarithmic axis, with the aim in words."""
    first: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        first.setdefault((row["part"], row["what"], row["peer"]), row)
    shown = [(name, first[key]) for key, name in SHOWN.items() if key in first and first[key]["ratio"]][::-1]
    plot.style()
    figure, ax = plt.subplots(figsize=(9, 0.5 * len(shown) + 0.7))
    for y, (_, row) in enumerate(shown):
        ratio, missed = float(row["ratio"]), row["reached"] == "no"
        ax.barh(y, ratio - 1, left=1, height=0.6, color=plot.colour(1 if missed else 0), hatch="//" if missed else "",
                edgecolor="white")  # fmt: skip
        aim = "   (aim missed)" if missed else ""
        ax.text(max(ratio, 1) * 1.04, y, f"{ratio:.2g} ×{aim}", va="center", fontsize=10)
    ax.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=9)
    ax.axvline(1, color="0.4", linewidth=0.8)
    ax.set(xscale="log", xlim=(0.95, 20), xlabel="times faster than what stands in brackets (CPU time)")
    ax.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    ax.minorticks_off()
    ax.grid(visible=False)
    figure.savefig(PICTURE, dpi=100, metadata={"Software": None})
    plt.close(figure)


PARTS: dict[str, Callable[[bool], list[Row]]] = {
    "accelerate": bench_accelerate,
    "nmf": bench_nmf,
    "threads": bench_threads,
    "multichannel": bench_multichannel,
    "blind": bench_blind,
    "growth": bench_growth,
    "slider": bench_slider,
    "import": bench_import,
}


def main(arguments: list[str]) -> None:
    plt.switch_backend("agg")
    kept = list(csv.DictReader(TABLE.open(encoding="utf-8"))) if TABLE.exists() else []
    if arguments == ["--draw"]:
        return draw(kept)
    full, names = "--full" in arguments, [name for name in arguments if name != "--full"] or list(PARTS)
    unknown = set(names) - set(PARTS)
    if unknown:
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    warnings.simplefilter("ignore")
    print(machine())
    for name in [part for part in PARTS if part in names]:
        found = PARTS[name](full)
        for row in found:
            row |= {"mode": "full" if full else "quick", "machine": machine()}
            value = f"{row['ratio']:>6} × ({row['lowest']} … {row['highest']})" if row["ratio"] else row["ours"]
            print(f"{row['what']:<38}{row['size']:<32}{row['peer']:<30}{value:<26}target {row['target']:<6.4} "
                  f"{row['reached']:<4}{row['cost']:<14}{row['why']}", flush=True)  # fmt: skip
        kept = [row for row in kept if row["part"] != name] + found
        kept.sort(key=lambda row: list(PARTS).index(row["part"]))
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
    draw(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
