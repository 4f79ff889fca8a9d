"""The protocol of chapter 13: separation over many scenes and starts, with a microphone per source and with one less.

A seed draws the scene (which sounds, which seconds of them, which room), and the start of the method. Leaving out the
last microphone is all that distinguishes n < N from n = N: sounds, room and the other microphones are the same.
About 12 minutes on one idle core.
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
from nmflib.experiments.methods import energy, in_order
from nmflib.experiments.rooms import shoe_box
from nmflib.metrics import best_permutation, sdr
from nmflib.separate import group, with_phase_of

TABLE = tables.path("monte_carlo")
SECONDS, RATE = 4, 8000
stft = STFT(1024, 512)
SEEDS = range(20)
N_ITER = {"EM": 50, "MU": 100, "ILRMA": 60, "start": 0}

SPEECH = ("speech_en_f", "speech_en_m", "speech_fr_f", "speech_it_m")
MUSIC = ("music_coffee", "guitar_intro", "gs_synth", "gs2_guitar", "piano_mary", "music_robot")
SCENES = {  # name -> number of sources; see `images`
    "head, speech": 2,  # measured responses of a dummy head
    "studio, music": 2,  # two tracks of one song
    "room, speech": 2,  # simulated, as those that follow
    "room, music": 2,
    "room, 3 talkers": 3,
    "room, 3 instruments": 3,
}
MEASURES = (
    *(f"sdr_{j}" for j in (1, 2, 3)),  # of each source's image, dB
    *(f"sir_{j}" for j in (1, 2, 3)),  # of the output given to that source: its own source against the others, dB
    *(f"share_{j}" for j in (1, 2, 3)),  # of the energy of all outputs
    "outputs",  # SDR of the sum of the outputs, dB
    "model",  # SDR of the modelled spectrogram with the mixture's phase, dB
    "purity",  # of the energy of all components, the part that belongs to the source each holds most of
    "regrouped",  # mean SDR of the images when every component is given to the source it holds most of, dB
)


@lru_cache
def sound(name: str) -> Array:
    """A clip in one channel (n_samples,), or the images of a stereo scene (2, 2, n_samples), at RATE."""
    is_scene = name in scenes.STEREO_SCENES
    x, rate = scenes.stereo_scene(name) if is_scene else scenes.load(name)
    return scenes.resample(x if is_scene else scenes.mono(x), rate, RATE)


def excerpt(name: str, rng: np.random.Generator) -> Array:
    """SECONDS of a sound, from a random moment on, mean removed; (..., n_samples)"""
    x, n_samples = sound(name), SECONDS * RATE
    start = rng.integers(x.shape[-1] - n_samples + 1)
    x = x[..., start : start + n_samples]
    return x - x.mean(axis=-1, keepdims=True)


def room_images(signals: list[Array], rng: np.random.Generator, rt60: float = 0.2) -> Array:
    """SIMULATED: images (J, J, n_samples) of J sources and J microphones in a random room.

    The microphones are in a line, 10 cm apart, the sources 1 to 1.5 m away in directions about 100° / (J − 1) apart.
    rt60 : reverberation time in s
    """
    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    n, centre = len(signals), size / 2 + rng.uniform(-0.3, 0.3, 3)
    angles = np.deg2rad(np.linspace(40, 140, n) + rng.uniform(-15, 15, n))
    towards = [np.array([np.cos(angle), np.sin(angle), 0]) for angle in rng.permutation(angles)]
    sources = [centre + rng.uniform(1.0, 1.5) * direction for direction in towards]
    microphones = centre + np.outer(0.1 * (np.arange(n) - (n - 1) / 2), [1, 0, 0])
    room = shoe_box(size, rt60, RATE, sources, microphones, signals=signals)
    return room.simulate(return_premix=True)[:, :, : SECONDS * RATE]


@lru_cache(maxsize=2)
def images(scene: str, n_channels: int, seed: int) -> Array:
    """The true images (n_sources, n_channels, n_samples), of equal power over the microphones that are used."""
    rng = np.random.default_rng(seed)
    if scene.startswith("room"):
        names = rng.choice(MUSIC if "music" in scene or "instr" in scene else SPEECH, SCENES[scene], replace=False)
        x = room_images([excerpt(name, rng) for name in names], rng)
    else:
        x = excerpt({"head, speech": "kemar_two_talkers", "studio, music": "guitar_synth"}[scene], rng)
    x = x[:, :n_channels]
    return 0.05 * x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True))


@lru_cache(maxsize=2)
def start_images(scene: str, n_channels: int, seed: int) -> Array:
    """The images that the blind start finds, (n_sources, n_channels, n_freq, n_frames)."""
    return separate_blind(
        true_images(scene, n_channels, seed).sum(axis=0), SCENES[scene], mixing="convolutive", rng=seed
    )


def true_images(scene: str, n_channels: int, seed: int) -> Array:
    """(n_sources, n_channels, n_freq, n_frames)"""
    return stft(images(scene, n_channels, seed))


def fit(
    scene: str, n_channels: int, method: str, init: str, components: int, n_iter: int, seed: int,
    noise: str = "diagonal",
) -> tuple[Any, Array]:  # fmt: skip
    """The model of one run, and the mixture X (n_channels, n_freq, n_frames) to which it was fitted.

    EM estimates the noise. If the noise is lowered to nothing instead (noise="anneal"), and three microphones receive
    nearly the same, outputs grow that cancel each other, as chapter 13 shows.
    """
    X = true_images(scene, n_channels, seed).sum(axis=0)
    known = {"blind": start_images, "oracle": true_images}.get(init)
    start = known(scene, n_channels, seed) if known else None
    options = {"EM": {"noise": noise}, "MU": {"order": "joint"}}.get(method, {})
    return methods.fit(method, X, SCENES[scene], components, n_iter, seed, start, **options), X


def modelled_power(model: Any) -> Array:
    """The power of x in the model, (n_channels, n_freq, n_frames)."""
    if hasattr(model, "demixing"):
        Q = np.abs(np.linalg.inv(model.demixing)) ** 2
    else:
        Q = np.abs(model.A) ** 2 if model.Q is None else model.Q
    return np.einsum("fij,jfn->ifn", Q, group(model.components(), model.source_of_component, Q.shape[2]))


def passed(model: Any, S: Array) -> Array:
    """The part of each true source in each output, (n_outputs, n_sources, n_channels, n_freq, n_frames).

    A fitted model is a linear filter, so an output for the mixture is the sum of the outputs for the true images S,
    (n_sources, n_channels, n_freq, n_frames).
    """
    return np.stack([model.images(s) for s in S], axis=1)


def of_components(model: Any, outputs: Array) -> Iterator[Array]:
    """Each output (n_outputs, ..., n_freq, n_frames) divided among its components by power, (n_components, ...)."""
    powers, owner = model.components(), model.source_of_component
    total = group(powers, owner, len(outputs))
    parts = np.divide(powers, total[owner], out=np.zeros_like(powers), where=total[owner] > 0)
    return (part * outputs[j] for part, j in zip(parts, owner, strict=True))


def measure(
    scene: str, n_sources: int, n_channels: int, method: str, init: str, components: int, n_iter: int, seed: int
) -> dict[str, float]:
    """The scores of one run."""
    references = images(scene, n_channels, seed)
    mixture, S = references.sum(axis=0), true_images(scene, n_channels, seed)
    if method == "start":
        return measure_start(scene, n_channels, seed)
    model, X = fit(scene, n_channels, method, init, components, n_iter, seed)
    outputs, of_sources = model.images(X), passed(model, S)
    estimates = stft.inverse(outputs, mixture.shape[-1])
    order = list(best_permutation(references, estimates))
    held = energy(of_sources, 3)[order]  # (output, source)
    share = energy(estimates[order], 2)
    scores = {
        "sdr": [sdr(s, e) for s, e in zip(references, estimates[order], strict=True)],
        "sir": 10 * np.log10(np.diag(held) / (held.sum(axis=1) - np.diag(held))),
        "share": share / share.sum(),
    }
    row = {f"{name}_{j}": value for name, values in scores.items() for j, value in enumerate(values, start=1)}
    held = np.stack([energy(part, 3) for part in of_components(model, of_sources)])  # (component, source)
    parts = np.stack(list(of_components(model, outputs)))
    regrouped = stft.inverse(group(parts, held.argmax(axis=1), len(S)), mixture.shape[-1])
    modelled = stft.inverse(with_phase_of(X, np.sqrt(modelled_power(model))), mixture.shape[-1])
    row |= {
        "outputs": min(sdr(mixture, estimates.sum(axis=0)), 150),  # beyond, digits are those of rounding errors
        "model": sdr(mixture, modelled),
        "purity": held.max(axis=1).sum() / held.sum(),
        "regrouped": np.mean([sdr(s, e) for s, e in zip(references, regrouped, strict=True)]),
    }
    return {name: round(float(value), 4 if "share" in name or name == "purity" else 2) for name, value in row.items()}


def measure_start(scene: str, n_channels: int, seed: int) -> dict[str, float]:
    """The scores of the blind start alone: SDR of every image, and its share of the energy."""
    references = images(scene, n_channels, seed)
    estimates = in_order(references, stft.inverse(start_images(scene, n_channels, seed), references.shape[-1]))
    share = energy(estimates, 2)
    row = {f"share_{j}": round(float(value), 4) for j, value in enumerate(share / share.sum(), start=1)}
    scores = (round(sdr(s, e), 2) for s, e in zip(references, estimates, strict=True))
    return row | {f"sdr_{j}": value for j, value in enumerate(scores, start=1)}


def experiments() -> Iterator[dict[str, Any]]:
    """Seed by seed, so that an unfinished table is balanced; then random values with six times the iterations."""
    for seed, scene, missing in itertools.product(SEEDS, SCENES, (0, 1)):
        n_channels = SCENES[scene] - missing
        for method, init, components in kinds(n_channels, missing):
            yield experiment(scene, n_channels, method, init, components, N_ITER[method], seed)
    for seed, scene, missing in itertools.product(range(3), ("room, speech", "room, 3 talkers"), (0, 1)):
        for method in ("EM", "MU"):
            yield experiment(scene, SCENES[scene] - missing, method, "random", 4, 300, seed)


def kinds(n_channels: int, missing: int) -> Iterator[tuple[str, str, int]]:
    """(method, init, components per source) of the runs of one scene; for one microphone there is no blind start."""
    inits = ["random"] if n_channels == 1 else ["random", "blind"]
    yield from itertools.product(["EM", "MU"] if missing else ["EM", "MU", "ILRMA"], inits, [4])
    if n_channels > 1:
        yield "start", "blind", 0
    if missing:
        yield from [("EM", "oracle", 4), ("EM", "random", 1), ("MU", "random", 1)]


def experiment(*values: Any) -> dict[str, Any]:
    keys = ("scene", "n_sources", "n_channels", "method", "init", "components", "n_iter", "seed")
    return dict(zip(keys, (values[0], SCENES[values[0]], *values[1:]), strict=True))
