"""The runs of chapter 11: two talkers on one and two channels, three talkers on two, and what is in each output.

One row per output (about 2 minutes on one idle core). Two talkers at 40° left and right of the measured dummy head. The
third talker stands in front of it: both ears hear the same, which is computed, not measured. One channel is the mean
of both ears. In every row, in dB:

    sir, sar  BSS Eval of the output on the mean of both ears, against `voice`, the one it holds most of (from 1)
    level     energy of the output over that of the mixture
    part_j    energy of voice j in the output over that of voice j alone: a fitted model is a linear filter, and each
              true voice can be sent through it by itself
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import STFT
from nmflib._check import Array
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments import methods, tables
from nmflib.experiments.methods import energy
from nmflib.metrics import BSSEval, bss_eval

KEYS = ("n_voices", "n_channels", "n_outputs", "method", "start", "seed")
MEASURES = ("voice", "sir", "sar", "level", "part_1", "part_2", "part_3")

METHODS = {"em": 50, "mu": 80, "ilrma": 40}  # iterations
ITERATIONS_EM_RANDOM = 120  # with fewer, the noise falls before the directions are found, and images cancel each other
SETTINGS = ((2, 1, 2), (2, 1, 3), (2, 2, 2), (2, 2, 3), (3, 2, 3))  # voices, channels, outputs
N_COMPONENTS = 6
SEEDS = range(6)
STFT_PAIR = STFT(2048, 1024)


@lru_cache
def scene(n_voices: int, n_channels: int) -> tuple[Array, Array]:
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
def blind_images(n_voices: int, n_outputs: int) -> Array:
    """STFTs (n_outputs, 2, F, N) of what the blind start finds, knowing only the mixture."""
    return separate_blind(scene(n_voices, 2)[1].sum(axis=0), n_outputs, mixing="convolutive")


@lru_cache(maxsize=1)
def outputs_of(*key: Any) -> tuple[Array, Array]:
    """`outputs` of the run with this key, kept for its rows."""
    run = dict(zip(KEYS, key, strict=True))
    images, S = scene(run["n_voices"], run["n_channels"])
    method, is_random = run["method"], run["start"] == "random"
    n_iter = ITERATIONS_EM_RANDOM if method == "em" and is_random else METHODS[method]
    known = None if is_random else blind_images(run["n_voices"], run["n_outputs"])
    model = methods.fit(method, S.sum(axis=0), run["n_outputs"], N_COMPONENTS, n_iter, run["seed"], known)
    parts = np.stack([model.images(voice) for voice in S])
    return STFT_PAIR.inverse(model.images(S.sum(axis=0)), images.shape[-1]), parts


def outputs(run: dict[str, Any]) -> tuple[Array, Array]:
    """What one run makes of the mixture (n_outputs, n_channels, n_samples), and of every voice alone.

    The second is (n_voices, n_outputs, n_channels, F, N): sent through the filter one at a time, the voices add up to
    the outputs.
    """
    return outputs_of(*key_of(run))


def measure(output: int, **run: Any) -> dict[str, float]:
    """The scores of one output (from 1) of a run."""
    images, S = scene(run["n_voices"], run["n_channels"])
    found, parts = outputs(run)
    scores = against_each_voice(images, found[output - 1])
    voice = int(np.argmax(scores.sir))
    row = {"sir": scores.sir[voice], "sar": scores.sar[voice]}
    row["level"] = decibel(energy(found[output - 1], 2) / energy(images.sum(axis=0), 2))
    for j, share in enumerate(energy(parts, 3)[:, output - 1] / energy(S, 3), start=1):
        row[f"part_{j}"] = decibel(share)
    return {"voice": voice + 1} | {key: round(value, 3) for key, value in row.items()}


def against_each_voice(images: Array, output: Array) -> BSSEval:
    """BSS Eval of one output (n_channels, n_samples) taken for each of the voices, on the mean of the channels."""
    return bss_eval(images.mean(axis=1), np.stack([output.mean(axis=0)] * len(images)))


def decibel(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-12)))


def runs() -> Iterator[dict[str, Any]]:
    """Every run, seed by seed: what is finished when the program is stopped is a whole comparison."""
    for start, seed in (("blind", 0), *(("random", seed) for seed in SEEDS)):
        for setting, method in itertools.product(SETTINGS, METHODS):
            if (method == "ilrma" and setting != (2, 2, 2)) or (start == "blind" and setting[1] == 1):
                continue  # ILRMA has as many outputs as channels; one channel leaves the blind start nothing to go by
            yield dict(zip(KEYS, (*setting, method, start, seed), strict=True))


def experiments() -> list[dict[str, Any]]:
    """Every output of every run."""
    return [run | {"output": k + 1} for run in runs() for k in range(run["n_outputs"])]


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in KEYS)


def read() -> list[dict[str, Any]]:
    return tables.read("mnmf_speech")
