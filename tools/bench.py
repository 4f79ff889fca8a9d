"""Compare the speed of nmflib with scikit-learn, torchnmf, pyroomacoustics and ssspy.

    python tools/bench.py [--full] [part ...]      (the names in PARTS; or all)

Both programs of a comparison run in turn in this process, A B B A …, on one BLAS thread, from the same start, for the
same number of iterations or to the same cost. The CPU times are compared; a ratio is the median over the rounds (with
its range). Where both programs minimise the same cost, there is a ratio only if the two costs agree to COST_TOLERANCE.
EM and MU are compared per iteration with programs that fit another model, and the table says so. A missed target stays
in the table. "blind" and "slider" compare with the longest time that is allowed instead of another program.

On Linux malloc is pinned: it keeps the memory that it has once had, as it does anyway in a long-lived process. In a
fresh process without pinning, scikit-learn is up to twice as slow.

Writes figures/bench.csv (keeping the rows of parts not named) and figures/bench.png.
"""

# ruff: noqa: B023, E402, E731 — every lambda is used up in its turn of the loop; BLAS reads its threads when imported
import os
import sys

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}  # read when a process starts
if __name__ == "__main__" and sys.platform == "linux" and not MALLOC.items() <= os.environ.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | MALLOC)
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import platform
import re
import subprocess
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from moving import chapter_draw
from sklearn.decomposition import non_negative_factorization

from nmflib import STFT, beta_divergence, initialise, mnmf_em, mnmf_mu, nmf, separate_blind
from nmflib._objective import power, sum_log
from nmflib.course import plot, scenes
from nmflib.course.explore import DPI
from nmflib.course.figures import drawn, png
from nmflib.course.listen import common_gain, players

TABLE, PICTURE = (Path(__file__).resolve().parents[1] / "figures" / f"bench.{kind}" for kind in ("csv", "png"))
COST_TOLERANCE = 1e-6  # relative
OWN = "its own products and passes"  # a lower bound: a program that computes nothing else


def seconds(f):
    """CPU seconds of one call, and its result."""
    start = time.process_time()
    result = f()
    return time.process_time() - start, result


def race(ours, peer, rounds):
    """CPU seconds (rounds, 2), A B B A …, and the last results. A first, untimed call of each warms the caches."""
    results, times = [ours(), peer()], np.empty((rounds, 2))
    for i in range(rounds):
        for k in (1, 0) if i % 2 else (0, 1):
            times[i, k], results[k] = seconds((ours, peer)[k])
    return times, *results


def compared(part, what, peer, size, times, target, n_iter=1, quantile=0.5, **more):
    """A row of the table: milliseconds per iteration, and how many times faster than the peer.

    times : (rounds, 2) seconds, ours and the peer's; without a peer, the longest allowed
    quantile : of the times that is compared; the median, unless a slider must be fast nearly always
    """
    ratio = times[:, 1] / times[:, 0]
    ours, theirs = np.quantile(times, quantile, axis=0) / n_iter * 1e3
    typical = np.quantile(ratio, 1 - quantile)
    row = dict(part=part, what=what, peer=peer, size=size, unit="ms", ours=f"{ours:.3g}")
    row |= dict(peer_value=f"{theirs:.3g}" if peer else "", ratio=f"{typical:.2f}")
    row |= dict(lowest=f"{ratio.min():.2f}", highest=f"{ratio.max():.2f}", target=f"{target:g}" if target else "")
    return row | dict(reached=("yes" if typical >= target else "no") if target else "", cost="") | more


def scikit(V, W, H, beta, n_iter, solver="mu"):
    options = {"init": "custom", "solver": solver, "beta_loss": beta, "tol": 0, "max_iter": n_iter}
    return non_negative_factorization(V, W=W.copy(), H=H.copy(), n_components=W.shape[1], **options)[:2]


def torch_mu(V, W, H, beta, n_iter):
    import torch
    import torchnmf.nmf

    torch.set_num_threads(1)
    model = torchnmf.nmf.NMF(W=torch.from_numpy(W.copy()), H=torch.from_numpy(H.T.copy()))
    model.fit(torch.from_numpy(V.T.copy()), beta=beta, tol=-1e300, max_iter=n_iter)
    return model.W.detach().numpy(), model.H.detach().numpy().T


def bare_passes(V, W, H, beta, n_iter):
    """The matrix products and element-wise passes of an iteration and of its cost, 128 bins at a time; nothing else."""
    H_T, buffers = np.ascontiguousarray(H.T), np.empty((3, 128, V.shape[1]))
    for step in range(2 * n_iter):
        for i in range(0, len(V), 128):
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
                negative *= positive
            else:
                power(V_hat, beta - 2, out=negative)
                np.multiply(negative, V_hat, out=positive)
                negative *= V_
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


def bench_nmf(full):
    rows = []
    for F, N, r, n in ((513, 600, 10, 100 if full else 30), (1025, 2000, 40, 40) if full else (1025, 1000, 40, 5)):
        rng = np.random.default_rng(0)
        V, W, H = rng.gamma(0.5, size=(F, N)) + 1e-3, rng.random((F, r)) + 0.1, rng.random((r, N)) + 0.1
        betas = (0, 1, 2, 0.5, 1.5, 3, 0.3) if full or r == 10 else (0, 1, 2, 3)
        peers = [("scikit-learn", scikit, beta) for beta in betas] + [("torchnmf", torch_mu, 1)] * (r == 10)
        for peer, program, beta in peers:
            ours = lambda: nmf(V, r, beta=beta, n_iter=n, init=(W, H))
            times, model, (W_peer, H_peer) = race(ours, lambda: program(V, W, H, beta, n), 5 if full else 3)
            target = 1.1 if beta == 2 else None
            row = compared("nmf", f"nmf, β = {beta}", peer, f"{F}×{N}, r = {r}", times, target, n)
            cost = beta_divergence(V, W_peer @ H_peer, beta)
            difference = abs(model.cost[-1] - cost) / abs(cost)
            differ = {} if difference <= COST_TOLERANCE else dict(ratio="", lowest="", highest="", reached="no")
            rows.append(row | {"cost": f"{difference:.0e}"} | differ)
        for beta in betas:
            ours, bare = lambda: nmf(V, r, beta=beta, n_iter=n, init=(W, H)), lambda: bare_passes(V, W, H, beta, n)
            times, *_ = race(ours, bare, 5 if full else 3)
            rows.append(compared("nmf", f"nmf, β = {beta}", OWN, f"{F}×{N}, r = {r}", times, 1 / 1.35, n))
    return rows


def iterations_of_cd(V, W, H, goal):
    """Iterations of scikit-learn's coordinate descent until the cost is at most `goal`, at most 600: then 0."""
    for n in range(1, 601):
        W, H = scikit(V, W, H, 2, 1, solver="cd")
        if beta_divergence(V, W @ H, 2) <= goal:
            return n
    return 0


def bench_accelerate(full):
    """CPU time to reach the cost that scikit-learn's multiplicative rule has after 200 iterations."""
    rows = []
    for beta in (1, 0, 2):
        results = {}  # {(dtype, peer): [(seconds, seconds of the peer, iterations), …]}
        for name in ("music_coffee", "speech_en_f") if full else ("music_coffee",):
            x, rate = scenes.load(name)
            V = np.abs(STFT(1024, hop=256)(scenes.mono(x)[: int(9.5 * rate)])) ** (2 if beta == 0 else 1)
            V = np.maximum(V / V.mean(), 1e-9) * 1e20  # far above scikit-learn's absolute thresholds
            for seed in range(10 if full else 3):
                start = nmf(V, 10, beta=beta, n_iter=0, rng=seed)
                W, H = start.W * 1e10, start.H / 1e10  # both far from the thresholds
                theirs, (W_peer, H_peer) = seconds(lambda: scikit(V, W, H, beta, 200))
                scaled = V / 1e20, W / 1e10, H / 1e10
                goal = beta_divergence(scaled[0], (W_peer / 1e10) @ (H_peer / 1e10), beta)
                if seed == 0:
                    plain = nmf(scaled[0], 10, beta=beta, n_iter=200, init=scaled[1:]).cost[-1]
                    assert abs(plain - goal) <= COST_TOLERANCE * goal, f"{name}: costs differ, {plain} and {goal}"
                for dtype in ("float64", "float32"):
                    V_, *init = (x.astype(dtype) for x in scaled)
                    accelerated = lambda n: nmf(V_, 10, beta=beta, n_iter=n, init=init, accelerate=True)
                    n = int(np.argmax(accelerated(600).cost <= goal))  # 0 if never
                    ours = seconds(lambda: accelerated(n))[0]
                    times = (ours if n else np.inf, theirs, n)
                    results.setdefault((dtype, "scikit-learn, 200 iterations"), []).append(times)
                    if beta == 2 and dtype == "float64":
                        n_cd = iterations_of_cd(*scaled, goal)
                        cd = seconds(lambda: scikit(*scaled, 2, n_cd, solver="cd"))[0] if n_cd else 1e3
                        results.setdefault((dtype, "scikit-learn, cd"), []).append((times[0], cd, n))
        for (dtype, peer), result in results.items():
            what = f"accelerate=True, β = {beta}" + (", float32" if dtype == "float32" else "")
            size = f"513×{V.shape[1]}, r = 10, {len(result)} runs"
            target = None if beta != 2 else 1 if peer.endswith("cd") else 5
            *times, needed = np.transpose(result)
            never = f", {np.sum(needed == 0)} runs not within 600" if 0 in needed else ""
            cost = f"{np.median(needed):.0f} iterations{never}"
            rows.append(compared("accelerate", what, peer, size, np.transpose(times), target, cost=cost))
    return rows


def bench_multichannel(full):
    import pyroomacoustics as pra
    from ssspy.bss.mnmf import GaussMNMF

    rng = np.random.default_rng(0)
    F, N = 513, 400 if full else 150
    X = (rng.standard_normal((2, F, N)) + 1j * rng.standard_normal((2, F, N))) * rng.gamma(0.5, size=(F, N))
    start = initialise(X, 2, 10, "random")
    frames = np.ascontiguousarray(X.transpose(2, 1, 0))
    size, n, rounds, slow = f"2 channels, {F}×{N}, 2 × 10", 10 if full else 4, 5 if full else 2, 3 if full else 1
    em = lambda: mnmf_em(X, 2, 10, n_iter=n, init=start)
    fast = lambda: pra.bss.fastmnmf2(frames, n_src=2, n_iter=n, n_components=10)
    gauss = lambda: GaussMNMF(n_basis=10, n_sources=2, record_loss=False)(X, n_iter=slow)
    times = race(em, fast, rounds)[0]
    rows = [compared("multichannel", "mnmf_em", "fastmnmf2", size, times, 3, n, cost="another model")]
    times = race(em, gauss, slow)[0]
    times[:, 1] *= n / slow
    rows.append(compared("multichannel", "mnmf_em", "ssspy GaussMNMF", size, times, 50, n, cost="another model"))
    for order, target in (("joint", 3.0), ("paper", None)):
        times = race(lambda: mnmf_mu(X, 2, 10, n_iter=n, init=start, order=order), em, rounds)[0]
        mu = f'mnmf_mu, "{order}"'
        rows.append(compared("multichannel", mu, "mnmf_em", size, times, target, n, cost="another cost"))
    return rows


def bench_threads(full):
    """Wall time with the default number of BLAS threads, compared with one thread."""
    code = (
        "import numpy as np, time; from nmflib import nmf; V = np.random.default_rng(0).gamma(0.5, size=(513, 600)); "
        "nmf(V, 10, n_iter=5); t = time.perf_counter(); nmf(V, 10, n_iter=100); print(time.perf_counter() - t)"
    )
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    wall = lambda env: float(subprocess.check_output([sys.executable, "-c", code], env=env, text=True))
    times = np.array([(wall(free), wall(dict(os.environ))) for _ in range(9 if full else 3)])
    what, size = "nmf, β = 1, default threads", "513×600, r = 10"
    return [compared("threads", what, "one thread", size, times, 1 / 1.1, 100, unit="ms (wall)")]


def bench_blind(full):
    """CPU time of a blind separation, compared with the duration of the recording."""
    images, rate = scenes.stereo_scene("piano_hands")
    X = STFT(4096)(np.tile(images.sum(axis=0), 1 + 10 * rate // images.shape[2])[:, : 10 * rate])
    separate = lambda: separate_blind(X, 2, mixing="convolutive")
    times = np.array([(seconds(separate)[0], 10) for _ in range(5 if full else 2)])
    return [compared("blind", "separate_blind, 2 of 2", "", f"10 s at {rate} Hz", times, 1)]


def bench_slider(full):
    """CPU time per step of the sliders of chapter 04: its `draw`, the picture, the players."""
    draw_chapter, rng = chapter_draw(), np.random.default_rng(0)

    def step():
        α, β = rng.uniform(0.5, 40, size=2)
        divergence = rng.choice(["IS", "KL", "Euclidean"])
        figure, _, sounds = drawn(draw_chapter(α=α, β=β, r=int(rng.integers(1, 6)), divergence=divergence))
        png(figure, dpi=2 * DPI)
        scaled = common_gain({label: sound for label, (sound, _) in sounds.items()})
        players({label: (scaled[label], rate) for label, (_, rate) in sounds.items()})

    step()
    times = np.array([(seconds(step)[0], 0.4) for _ in range(40 if full else 8)])
    return [compared("slider", "slider step of 04, 95th percentile", "", "with figure", times, 1, quantile=0.95)]


def machine():
    """Processor, cores, load, and the versions that matter."""
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else "")
    model = named[1] if named else platform.processor() or platform.machine()
    pinned = "malloc pinned, " if MALLOC.items() <= os.environ.items() else ""
    load = f"{os.getloadavg()[0]:.0f}" if hasattr(os, "getloadavg") else "?"
    python = platform.python_version()
    return f"{model}, {os.cpu_count()} cores, load {load}, {pinned}Python {python}, NumPy {np.__version__}"


SHOWN = {  # the bars in README: part, what and peer of a row, and a label for readers
    ("accelerate", "accelerate=True, β = 1", "scikit-learn, 200 iterations"):
        "Kullback–Leibler, to the same fit\n(scikit-learn)",
    ("accelerate", "accelerate=True, β = 0", "scikit-learn, 200 iterations"):
        "Itakura–Saito, to the same fit\n(scikit-learn)",
    ("accelerate", "accelerate=True, β = 2", "scikit-learn, cd"):
        "Euclidean, to the same fit\n(scikit-learn, its faster solver)",
    ("multichannel", "mnmf_em", "fastmnmf2"): "multichannel iteration\n(FastMNMF2, another model)",
    ("blind", "separate_blind, 2 of 2", ""): "blind separation of 10 s\n(10 s)",
    ("slider", "slider step of 04, 95th percentile", ""): "slider of chapter 4\n(0.4 s)",
}  # fmt: skip


def draw(rows):
    """A bar for each row of SHOWN: how many times faster, on a logarithmic axis, with the aim in words."""
    found = {(row["part"], row["what"], row["peer"]): row for row in rows if row["ratio"]}
    shown = [(label, found[key]) for key, label in SHOWN.items() if key in found][::-1]
    plot.style()
    figure, ax = plt.subplots(figsize=(9, 0.5 * len(shown) + 0.7))
    for y, (_, row) in enumerate(shown):
        ratio, missed = float(row["ratio"]), row["reached"] == "no"
        look = {"color": plot.colour(1), "hatch": "//"} if missed else {"color": plot.colour(0)}
        ax.barh(y, ratio - 1, left=1, height=0.6, edgecolor="white", **look)
        text = f"{ratio:.2g} ×   (aim missed)" if missed else f"{ratio:.2g} ×"
        ax.text(max(ratio, 1) * 1.04, y, text, va="center", fontsize=10)
    ax.set_yticks(range(len(shown)), [name for name, _ in shown], fontsize=9)
    ax.axvline(1, color="0.4", linewidth=0.8)
    ax.set(xscale="log", xlim=(0.95, 20), xlabel="times faster than what stands in brackets (CPU time)")
    ax.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    ax.minorticks_off()
    ax.grid(visible=False)
    figure.savefig(PICTURE, dpi=100, metadata={"Software": None})


PARTS = {
    "accelerate": bench_accelerate,
    "nmf": bench_nmf,
    "threads": bench_threads,
    "multichannel": bench_multichannel,
    "blind": bench_blind,
    "slider": bench_slider,
}


def main(arguments):
    full, names = "--full" in arguments, [name for name in arguments if name != "--full"] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    plt.switch_backend("agg")
    warnings.simplefilter("ignore")
    kept = pd.read_csv(TABLE, dtype=str, keep_default_na=False).to_dict("records")
    print(machine())
    for name in names:
        found = [row | {"mode": "full" if full else "quick", "machine": machine()} for row in PARTS[name](full)]
        print(pd.DataFrame(found).iloc[:, 1:-2].to_string(index=False), flush=True)
        kept = [row for row in kept if row["part"] != name] + found
        kept.sort(key=lambda row: list(PARTS).index(row["part"]))
        pd.DataFrame(kept).to_csv(TABLE, index=False, lineterminator="\n")
    draw(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
