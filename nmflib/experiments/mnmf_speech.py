"""The runs of chapter 11: the voices in each output when two or three talkers are mixed (5 minutes on one core).

Two talkers: the six pairs of four voices in two simulated rooms (reverberation time 0.13 and 0.25 s), and one pair at
the measured dummy head. Three talkers: the four triples of the same voices, in a simulated room and panned. One row per
output. It is compared with every voice, on the mean of its channels:

    voice     the voice that it holds most of (from 1)
    sir, sar  BSS Eval against this voice, in dB
    share     energy of this voice in the output, in % of the energy of the voice alone
    sdr       SDR in dB of the image, both channels, in the best order; empty where there are more outputs than voices
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
from nmflib.experiments.blind_start import clip, room_images
from nmflib.experiments.methods import energy
from nmflib.metrics import bss_eval, sdr

KEYS = ("scene", "n_channels", "n_outputs", "n_fft", "method", "start", "seed")
MEASURES = ("voice", "sir", "sar", "share", "sdr")
VOICES = ("en_f", "en_m", "fr_f", "it_m")
PAIRS = ["+".join(pair) for pair in itertools.combinations(VOICES, 2)]
TRIPLES = ["+".join(triple) for triple in itertools.combinations(VOICES, 3)]
TWO = ["head en_f+en_m", *(f"{room} {pair}" for pair in PAIRS for room in ("room.13", "room.25"))]
THREE = [f"{place} {triple}" for triple in TRIPLES for place in ("room.13", "panned")]
ANGLES = {"panned": (20, 45, 70)}  # degrees: the levels are cos and sin
SECONDS, SEEDS = 5, range(5)
N_COMPONENTS = 6  # per source
ITERATIONS = {"MU": 80, "EM": 60}


@lru_cache(maxsize=4)
def scene(name: str) -> Array:
    """True images (n_voices, 2, n_samples) of equal energy."""
    place, voices = name.split()
    names = voices.split("+")
    if place == "head":
        images = scenes.stereo_scene("kemar_two_talkers")[0]
    elif place == "panned":
        angles = np.deg2rad(ANGLES["panned"])
        signals = np.stack([clip(f"speech_{voice}") for voice in names])
        images = np.einsum("ij,jt->jit", np.stack([np.cos(angles), np.sin(angles)]), signals)
    else:
        rng = np.random.default_rng([VOICES.index(voice) for voice in names])
        images = room_images([clip(f"speech_{voice}") for voice in names], float(place[4:]), 0.2, rng)
    images = images[..., : SECONDS * scenes.SAMPLE_RATE]
    return (0.05 * images / np.sqrt((images**2).mean(axis=(1, 2), keepdims=True))).astype(np.float32)


def images_of(run: dict[str, Any]) -> Array:
    """The true images (n_voices, n_channels, n_samples) of a run; one channel is the mean of two."""
    images = scene(run["scene"])
    return images.mean(axis=1, keepdims=True) if run["n_channels"] == 1 else images


@lru_cache(maxsize=1)
def start_images(name: str, n_outputs: int, n_fft: int) -> Array:
    """STFTs (n_outputs, 2, F, N) of the images that the blind start finds."""
    mixing = "instantaneous" if name.startswith("panned") else "convolutive"
    return separate_blind(STFT(n_fft, n_fft // 2)(scene(name).sum(axis=0)), n_outputs, mixing=mixing)


def fit(run: dict[str, Any]) -> Any:
    """The model of one run (a dict of KEYS) of "MU" or "EM"."""
    stft = STFT(run["n_fft"], run["n_fft"] // 2)
    is_random = run["start"] == "random"
    known = None if is_random else start_images(run["scene"], run["n_outputs"], run["n_fft"])
    how = {"noise": "diagonal"} if run["method"] == "EM" else {}
    n_iter = ITERATIONS[run["method"]] * (2 if run["method"] == "EM" and is_random else 1)
    X = stft(images_of(run).sum(axis=0))
    return methods.fit(run["method"], X, run["n_outputs"], N_COMPONENTS, n_iter, run["seed"], known, **how)


@lru_cache(maxsize=1)
def outputs_of(*key: Any) -> Array:
    """The `outputs` of the run with this key; they are cached, since every output has a row."""
    run = dict(zip(KEYS, key, strict=True))
    images, stft = images_of(run), STFT(run["n_fft"], run["n_fft"] // 2)
    if run["method"] == "start alone":
        found = start_images(run["scene"], run["n_outputs"], run["n_fft"])
    else:
        found = fit(run).images(stft(images.sum(axis=0)))
    found = stft.inverse(found, images.shape[-1])
    return methods.in_order(images, found) if len(found) == len(images) else found


def outputs(run: dict[str, Any]) -> Array:
    """The outputs of one run, (n_outputs, n_channels, n_samples), in the order of the voices if they are as many."""
    return outputs_of(*(run[key] for key in KEYS))


def scores(images: Array, output: Array) -> dict[str, float]:
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


def measure(output: int, **run: Any) -> dict[str, float]:
    """The measures of one output (from 1) of a run."""
    images, found = images_of(run), outputs(run)
    row = scores(images, found[output - 1])
    if len(found) == len(images):
        row["sdr"] = sdr(images[output - 1], found[output - 1])
    return {key: round(float(value), 2) for key, value in row.items()} | {"voice": row["voice"]}


def runs() -> Iterator[dict[str, Any]]:
    """Every run, comparison by comparison."""
    ours = [("start alone", 0), ("MU", 0), ("EM", 0)]
    cells = [
        (TWO, 2, 3, 2048, [("MU", "random", seed) for seed in SEEDS]),
        (THREE, 2, 3, 2048, [(method, "ours", seed) for method, seed in ours]),
        (TWO, 2, 3, 2048, [(method, "ours", seed) for method, seed in ours]),
        (TWO, 2, 2, 2048, [(method, "ours", seed) for method, seed in ours]),
    ]
    for names, n_channels, n_outputs, n_fft, how in cells:
        for name, setting in itertools.product(names, how):
            yield dict(zip(KEYS, (name, n_channels, n_outputs, n_fft, *setting), strict=True))


def experiments() -> list[dict[str, Any]]:
    """Every output of every run."""
    return [run | {"output": k + 1} for run in runs() for k in range(run["n_outputs"])]


def read() -> list[dict[str, Any]]:
    return tables.read("mnmf_speech")
