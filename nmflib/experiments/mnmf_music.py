"""The runs of chapter 10: guitar + synthesizer, two piano hands and a simulated room, taken apart by EM, MU and ILRMA.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.mnmf_music

writes mnmf_music.csv in data/results, one row per finished run (about 3 minutes on one idle core). An interrupted run
resumes where it stopped; delete the table to measure everything again.

Two channels: every number of components per source from the blind start, from the truth ("oracle": how well the model
could do) and from random values (2 seeds for TABLED components, 1 else). One channel, the left one: TABLED components
per source from random values; there is no other start. Scores are of the images (all channels at once) in dB; isr, sir
and sar for TABLED components, else empty.
"""

import csv
import itertools
from functools import lru_cache

import numpy as np

from nmflib import STFT, ilrma, initialise, mnmf_em, mnmf_mu
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments.grid import run_grid
from nmflib.metrics import best_permutation, bss_eval, sdr

TABLE = scenes.data_folder() / "results" / "mnmf_music.csv"
KEYS = ("scene", "n_channels", "method", "start", "n_components", "seed")
SCORES = tuple(f"{ratio}_{j}" for ratio in ("sdr", "isr", "sir", "sar") for j in (1, 2))

SCENES = ("guitar_synth", "piano_hands", "room_music_guitar")
METHODS = {"em": mnmf_em, "mu": mnmf_mu, "ilrma": ilrma}
ITERATIONS = {"em": 40, "mu": 60, "ilrma": 30}
ITERATIONS_EM_RANDOM = 120  # with fewer, the noise falls before the directions are found, and images cancel each other
N_COMPONENTS = (1, 2, 4, 8, 16, 32)
TABLED = 8
SEEDS = range(2)
STFT_PAIR = STFT(4096, 2048)


@lru_cache
def scene(name, n_channels=2):
    """True images (2 sources, n_channels, n_samples) and the STFT of their sum (n_channels, F, N)."""
    images = scenes.stereo_scene(name)[0][:, :n_channels].astype(np.float32)
    return images, STFT_PAIR(images.sum(axis=0))


@lru_cache
def start_images(name, start):
    """STFTs of the images (2, 2, F, N) a start is made of: the true ones, or those found knowing only the mixture."""
    images, X = scene(name)
    return STFT_PAIR(images) if start == "oracle" else separate_blind(X, 2)


@lru_cache
def start_from(scene_name, start, n, seed):
    """The initial model of EM, MU and ILRMA, with n components per source."""
    images = start_images(scene_name, start)
    return initialise(scene(scene_name)[1], 2, n, "oracle", images=images, rng=seed)


def fit(run):
    """The model of one run (a dict of KEYS) and the mixture X it was fitted to."""
    _, X = scene(run["scene"], run["n_channels"])
    n, seed, method = run["n_components"], run["seed"], run["method"]
    init = start_from(run["scene"], run["start"], n, seed) if run["start"] != "random" else None
    n_iter = ITERATIONS_EM_RANDOM if method == "em" and init is None else ITERATIONS[method]
    arguments = (X, n) if method == "ilrma" else (X, 2, n)
    return METHODS[method](*arguments, n_iter=n_iter, init=init, rng=seed), X


def estimate(run):
    """The images (2, n_channels, n_samples) that one run finds, in the order of the true ones."""
    images, _ = scene(run["scene"], run["n_channels"])
    model, X = fit(run)
    found = STFT_PAIR.inverse(model.images(X), images.shape[-1])
    return found[list(best_permutation(images, found))]


def measure(run):
    """The scores of one run in dB, as the table writes them."""
    images, found = scene(run["scene"], run["n_channels"])[0], estimate(run)
    scores = {f"sdr_{j + 1}": sdr(images[j], found[j]) for j in (0, 1)}
    if run["n_components"] == TABLED:
        one = run["n_channels"] == 1
        bss = bss_eval(images[:, 0], found[:, 0]) if one else bss_eval(images, found)
        for ratio in ("sir", "sar") if one else ("isr", "sir", "sar"):
            scores |= {f"{ratio}_{j + 1}": getattr(bss, ratio)[j] for j in (0, 1)}
    return {key: round(value, 3) for key, value in scores.items()}


def runs():
    """Every run, start by start: what is finished when the program is stopped is a whole comparison."""
    for start, seed in (("blind", 0), ("oracle", 0), *(("random", seed) for seed in SEEDS)):
        for name, method, n in itertools.product(SCENES, METHODS, (TABLED,) if seed else N_COMPONENTS):
            yield dict(zip(KEYS, (name, 2, method, start, n, seed), strict=True))
    for name, method, seed in itertools.product(SCENES, ("em", "mu"), SEEDS):
        yield dict(zip(KEYS, (name, 1, method, "random", TABLED, seed), strict=True))


def read(path=TABLE):
    """The finished rows, numbers as numbers (nan where nothing was measured)."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for r in rows:
        r.update({key: int(r[key]) for key in ("n_channels", "n_components", "seed")})
        r.update({key: float(r[key] or "nan") for key in SCORES})
        r["sdr"] = (r["sdr_1"] + r["sdr_2"]) / 2
    return rows


def main():
    run_grid(lambda **run: measure(run), list(runs()), TABLE, measures=SCORES)


if __name__ == "__main__":
    main()
