"""The runs of chapter 11: two talkers on one and two channels, three talkers on two, and what is in each output.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.mnmf_speech

writes mnmf_speech.csv in data/results, one row per output (about 2 minutes on one idle core). An interrupted run
resumes where it stopped; delete the table to measure everything again.

Two talkers at 40° left and right of the measured dummy head. The third talker stands in front of it: both ears hear the
same, which is computed, not measured. One channel is the mean of both ears. In every row, in dB:

    sir, sar  BSS Eval of the output on the mean of both ears, against `voice`, the one it holds most of (from 1)
    level     energy of the output over that of the mixture
    part_j    energy of voice j in the output over that of voice j alone: a fitted model is a linear filter, and each
              true voice can be sent through it by itself
"""

import csv
import itertools
from functools import lru_cache

import numpy as np

from nmflib import STFT, ilrma, initialise, mnmf_em, mnmf_mu
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments.grid import run_grid
from nmflib.metrics import bss_eval

TABLE = scenes.data_folder() / "results" / "mnmf_speech.csv"
KEYS = ("n_voices", "n_channels", "n_outputs", "method", "start", "seed")
SCORES = ("voice", "sir", "sar", "level", "part_1", "part_2", "part_3")

METHODS = {"em": mnmf_em, "mu": mnmf_mu, "ilrma": ilrma}
ITERATIONS = {"em": 50, "mu": 80, "ilrma": 40}
ITERATIONS_EM_RANDOM = 120  # with fewer, the noise falls before the directions are found, and images cancel each other
SETTINGS = ((2, 1, 2), (2, 1, 3), (2, 2, 2), (2, 2, 3), (3, 2, 3))  # voices, channels, outputs
N_COMPONENTS = 6
SEEDS = range(6)
STFT_PAIR = STFT(2048, 1024)


@lru_cache
def scene(n_voices, n_channels):
    """True images (n_voices, n_channels, n_samples) of equal energy, and their STFT (n_voices, n_channels, F, N)."""
    images, _ = scenes.stereo_scene("kemar_two_talkers")
    front = scenes.load("speech_it_m")[0][: images.shape[-1]]
    images = np.concatenate([images, np.stack([front, front])[np.newaxis]])[:n_voices]
    images = 0.05 * images / np.sqrt((images**2).mean(axis=(1, 2), keepdims=True))
    if n_channels == 1:
        images = images.mean(axis=1, keepdims=True)
    images = images.astype(np.float32)
    return images, STFT_PAIR(images)


@lru_cache
def blind_images(n_voices, n_outputs):
    """STFTs (n_outputs, 2, F, N) of what the blind start finds, knowing only the mixture."""
    return separate_blind(scene(n_voices, 2)[1].sum(axis=0), n_outputs)


@lru_cache
def blind_start(n_voices, n_outputs, seed):
    """The model that EM, MU and ILRMA start from."""
    X, images = scene(n_voices, 2)[1].sum(axis=0), blind_images(n_voices, n_outputs)
    return initialise(X, n_outputs, N_COMPONENTS, "oracle", images=images, rng=seed)


def fit(run):
    """The model of one run (a dict of KEYS)."""
    X = scene(run["n_voices"], run["n_channels"])[1].sum(axis=0)
    n_outputs, seed, method = run["n_outputs"], run["seed"], run["method"]
    init = blind_start(run["n_voices"], n_outputs, seed) if run["start"] == "blind" else None
    n_iter = ITERATIONS_EM_RANDOM if method == "em" and init is None else ITERATIONS[method]
    arguments = (X, N_COMPONENTS) if method == "ilrma" else (X, n_outputs, N_COMPONENTS)
    return METHODS[method](*arguments, n_iter=n_iter, init=init, rng=seed)


def outputs(run):
    """What one run makes of the mixture (n_outputs, n_channels, n_samples), and of every voice alone.

    The second is (n_voices, n_outputs, n_channels, F, N): sent through the filter one at a time, the voices add up to
    the outputs.
    """
    images, S = scene(run["n_voices"], run["n_channels"])
    model = fit(run)
    parts = np.stack([model.images(voice) for voice in S])
    return STFT_PAIR.inverse(model.images(S.sum(axis=0)), images.shape[-1]), parts


def measure(run):
    """One row (a dict) for each output of a run."""
    images, S = scene(run["n_voices"], run["n_channels"])
    found, parts = outputs(run)
    part = energy(parts) / energy(S)[:, np.newaxis]  # (n_voices, n_outputs)
    for k, output in enumerate(found):
        scores = against_each_voice(images, output)
        voice = int(np.argmax(scores.sir))
        row = {"output": k + 1, "voice": voice + 1, "sir": scores.sir[voice], "sar": scores.sar[voice]}
        row["level"] = decibel(energy(output) / energy(images.sum(axis=0)))
        yield run | row | {f"part_{j + 1}": decibel(part[j, k]) for j in range(len(images))}


def against_each_voice(images, output):
    """BSS Eval of one output (n_channels, n_samples) taken for each of the voices, on the mean of the channels."""
    return bss_eval(images.mean(axis=1), np.stack([output.mean(axis=0)] * len(images)))


def energy(x):
    """Sum of |x|² over the last axes but the leading one or two: (J, I, F, N) -> (J,), (I, T) -> a number."""
    keep = {2: 0, 4: 1, 5: 2}[x.ndim]
    return (np.abs(x) ** 2).sum(axis=tuple(range(keep, x.ndim)))


def decibel(ratio):
    return float(10 * np.log10(max(ratio, 1e-12)))


def runs():
    """Every run, seed by seed: what is finished when the program is stopped is a whole comparison."""
    for start, seed in (("blind", 0), *(("random", seed) for seed in SEEDS)):
        for setting, method in itertools.product(SETTINGS, METHODS):
            if (method == "ilrma" and setting != (2, 2, 2)) or (start == "blind" and setting[1] == 1):
                continue  # ILRMA has as many outputs as channels; one channel leaves the blind start nothing to go by
            yield dict(zip(KEYS, (*setting, method, start, seed), strict=True))


def read():
    """The rows, numbers as numbers (nan for a voice that is not there)."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    for row in rows:
        row.update({key: int(row[key]) for key in (*KEYS, "output", "voice") if key not in ("method", "start")})
        row.update({key: float(row[key] or "nan") for key in SCORES[1:]})
    return rows


def key_of(row):
    return tuple(row[key] for key in KEYS)


@lru_cache(maxsize=1)
def measured(*key):
    """The rows of a run, kept for its other outputs."""
    return list(measure(dict(zip(KEYS, key, strict=True))))


def one_output(output, **run):
    """The scores of one output of a run, as the table writes them."""
    row = measured(*key_of(run))[output - 1]
    return {key: row[key] if key == "voice" else round(row[key], 3) for key in SCORES if key in row}


def experiments():
    """Every output of every run."""
    return [run | {"output": k + 1} for run in runs() for k in range(run["n_outputs"])]


def main():
    run_grid(one_output, experiments(), TABLE, measures=SCORES)


if __name__ == "__main__":
    main()
