"""The runs of chapter 11: the voices in each output when two or three talkers are mixed (5 minutes on one core).

One row per output. It is compared with every voice, on the mean of its channels:

    voice     the voice that it holds most of (from 1)
    sir, sar  BSS Eval against this voice, in dB
    share     energy of this voice in the output, in % of the energy of the voice alone
    sdr       SDR in dB of the image, both channels, in the best order; empty where there are more outputs than voices
"""

import itertools
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.course import scenes
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import energy, fit, in_order, rounded
from nmflib.experiments.recordings import clip, room_images
from nmflib.experiments.rooms import panned_images
from nmflib.metrics import bss_eval, sdr

MEASURES = ("voice", "sir", "sar", "share", "sdr")
VOICES = ("en_f", "en_m", "fr_f", "it_m")
PAIRS, TRIPLES = (["+".join(voices) for voices in itertools.combinations(VOICES, n)] for n in (2, 3))
TWO = ["head en_f+en_m", *(f"{room} {pair}" for pair in PAIRS for room in ("room.13", "room.25"))]
THREE = [f"{place} {triple}" for triple in TRIPLES for place in ("room.13", "panned")]
SECONDS = 5
N_COMPONENTS = 6  # per source
ITERATIONS = {"MU": 80, "EM": 60}
STFT_PAIR = STFT(2048, 1024)


@lru_cache(maxsize=4)
def scene(name: str) -> Array:
    """True images (n_voices, 2, n_samples) of equal energy."""
    place, voices = name.split()
    names = voices.split("+")
    signals = [clip(f"speech_{voice}") for voice in names]
    if place == "head":
        images = scenes.stereo_scene("kemar_two_talkers")[0]
    elif place == "panned":
        images = panned_images(signals, (20, 45, 70))
    else:
        rng = np.random.default_rng([VOICES.index(voice) for voice in names])
        images = room_images(signals, float(place[4:]), 0.2, rng)
    images = images[..., : SECONDS * scenes.SAMPLE_RATE]
    return (0.05 * images / np.sqrt((images**2).mean(axis=(1, 2), keepdims=True))).astype(np.float32)


@lru_cache(maxsize=1)
def start_images(name: str, n_outputs: int) -> Array:
    """STFTs (n_outputs, 2, F, N) of the images that the blind start finds."""
    mixing = "instantaneous" if name.startswith("panned") else "convolutive"
    return separate_blind(STFT_PAIR(scene(name).sum(axis=0)), n_outputs, mixing=mixing)


@lru_cache(maxsize=1)
def outputs(name: str, n_outputs: int, method: str, start: str, seed: int) -> Array:
    """The outputs of one run, (n_outputs, 2, n_samples), in the order of the voices if they are as many.

    They are cached, since every output has a row.
    """
    images = scene(name)
    found = None if start == "random" else start_images(name, n_outputs)
    if method != "start alone":
        X = STFT_PAIR(images.sum(axis=0))
        found = fit(method, X, n_outputs, N_COMPONENTS, ITERATIONS[method], seed, found).images(X)
    found = STFT_PAIR.inverse(found, images.shape[-1])
    return in_order(images, found) if len(found) == len(images) else found


def scores(images: Array, output: Array) -> Row:
    """`voice`, `sir`, `sar` and `share` of one output (n_channels, n_samples).

    images : (n_voices, n_channels, n_samples)

    BSS Eval splits an output into target, interference and artefacts, target / interference = SIR,
    (target + interference) / artefacts = SAR: two ratios and the energy of the output give the energy of the target.
    """
    voices, y = images.mean(axis=1), output.mean(axis=0)
    found = bss_eval(voices, np.stack([y] * len(voices)))
    j = int(np.argmax(found.sir))
    sir, sar = 10 ** (found.sir[j] / 10), 10 ** (found.sar[j] / 10)
    target = energy(y, 1) * sar / (1 + sar) * sir / (1 + sir)
    return {"voice": j + 1, "sir": found.sir[j], "sar": found.sar[j], "share": 100 * target / energy(voices[j], 1)}


def measure(n_outputs: int, method: str, start: str, seed: int, output: int, **run: Any) -> Row:
    """The measures of one output (from 1) of a run."""
    images, found = scene(run["scene"]), outputs(run["scene"], n_outputs, method, start, seed)
    row = scores(images, found[output - 1])
    if len(found) == len(images):
        row["sdr"] = sdr(images[output - 1], found[output - 1])
    return rounded(row, row.values()) | {"voice": row["voice"]}


def experiments() -> list[Row]:
    """Every output of every run; "ours" is the blind start."""
    runs = []
    for names, n_outputs, methods, start, seeds in (
        (TWO, 3, "MU", "random", range(5)),
        (THREE, 3, ["start alone", "MU", "EM"], "ours", 0),
        (TWO, 3, ["start alone", "MU", "EM"], "ours", 0),
        (TWO, 2, ["start alone", "MU", "EM"], "ours", 0),
    ):
        run = {"scene": names, "n_channels": 2, "n_outputs": n_outputs, "n_fft": 2048, "method": methods}
        runs += grid(**run, start=start, seed=seeds, output=range(1, n_outputs + 1))
    return runs
