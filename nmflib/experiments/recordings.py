"""`separate_recording` in simulated rooms at three sample rates, and these rooms, which other trials use too.

The rooms are drawn once, from fixed seeds. The tuning half may be looked at while a method is being made; the unseen
half has other voices, other pieces and other rooms, and is there to report. Three sources have two microphones, or
three in the same rooms. At 44.1 and 48 kHz the rooms are those at 16 kHz, resampled; one in six is measured.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from nmflib import separate_recording
from nmflib._check import Array
from nmflib.course.scenes import load, stereo_scene
from nmflib.experiments.methods import image_sdr, rounded, timed
from nmflib.experiments.rooms import directions, shoe_box

RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {"tuning": ["music_coffee", "guitar_intro", "tabla_cc0"], "unseen": ["music_robot", "gs_synth", "piano_mary"]}
SIZES = (2, 2), (3, 2), (3, 3)  # sources and channels
ONE_IN = {16000: 1, 44100: 6, 48000: 6}  # scenes of which one is measured at this rate
MEASURES = ["sdr", "worst_source", "thirds", "seconds"]  # thirds: SDR of the mixture / n_sources, which knows nothing


def clip(name: str, shift: float = 0.0) -> Array:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS."""
    return np.resize(np.roll(np.atleast_2d(load(name)[0])[0], int(shift * RATE)), SECONDS * RATE)


def room_images(
    signals: list[Array], rt60: float, spacing: float, rng: np.random.Generator, n_channels: int = 2
) -> Array:
    """(J, I, T) images of equal power of sources at 1 to 1.6 m from a line of microphones in a random room."""
    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    centre = size / 2 + rng.uniform(-0.4, 0.4, 3) * [1, 1, 0.5]
    turn = rng.uniform(0, 2 * np.pi)
    axis, side = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    apart = {2: 40, 3: 35}[len(signals)]  # degrees between neighbouring sources, seen from the microphones
    angles, sources = np.sort(directions(len(signals), apart, rng, 25, 155)), []
    for angle in np.deg2rad(rng.permutation(angles)):
        distance = rng.uniform(1.0, 1.6)
        place = centre + distance * (np.cos(angle) * axis + np.sin(angle) * side) + [0, 0, rng.uniform(-0.2, 0.3)]
        sources.append(np.clip(place, 0.3, size - 0.3))
    microphones = [centre + axis * spacing * (i - (n_channels - 1) / 2) for i in range(n_channels)]
    room = shoe_box(size, rt60, RATE, sources, microphones, signals=signals)
    images = room.simulate(return_premix=True)[:, :, : SECONDS * RATE]
    return images / np.sqrt((images**2).mean((1, 2), keepdims=True)) * 0.05


@lru_cache
def scenes(half: str, n_sources: int, n_channels: int = 2) -> dict[str, dict[str, Any]]:
    """The scenes of one half by name: every RT60 and spacing, with speech, music, or both in turn."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half] + 10 * n_sources)
    rt60s, repeats = ([0.13, 0.25, 0.4], 2) if n_sources == 2 else ([0.13, 0.25], 1)
    speech, music = SPEECH[half], MUSIC[half]
    found: dict[str, dict[str, Any]] = {}
    grid = itertools.product(range(repeats), enumerate(rt60s), enumerate([0.05, 0.2, 1.0]))
    for k, (repeat, (a, rt60), (b, spacing)) in enumerate(grid):
        kind = (a + b + repeat) % 3
        if n_sources == 2:
            names = [speech, [speech[k % 2], music[k % 3]], [music[k % 3], music[(k + 1) % 3]]][kind]
            shift = rng.uniform(0, 4) if kind == 0 else 0.0
        else:  # the third talker is one of the two voices, 4 s apart
            names = [[*speech, speech[k % 2]], [*speech, music[k % 3]], music][kind]
            shift = 4.0 if kind == 0 else 0.0
        signals = [*map(clip, names[:-1]), clip(names[-1], shift)]
        images = room_images(signals, rt60, spacing, rng, n_channels)
        found[f"{half}_{n_sources}_{k:02d}"] = dict(rt60=rt60, spacing=spacing, clips="+".join(names), images=images)
    for name in ["kemar_two_talkers", "room_music_guitar"] if (half, n_sources) == ("tuning", 2) else []:
        found[name] = dict(rt60=None, spacing=None, clips=name, images=stereo_scene(name)[0])
    return found


def measure(scene: str, half: str, n_sources: int, n_channels: int, rate: int, **_: Any) -> dict[str, float]:
    """The measures of one row: dB, and seconds of CPU."""
    images = scenes(half, n_sources, n_channels)[scene]["images"]
    if rate != RATE:
        images = resample_poly(images, rate // 100, RATE // 100, axis=-1)
    x = images.sum(0)
    estimates, seconds = timed(separate_recording, x, rate, n_sources)
    values, nothing = image_sdr(images, estimates), image_sdr(images, np.repeat(x[None] / n_sources, n_sources, axis=0))
    return rounded(MEASURES, (np.mean(values), min(values), np.mean(nothing), seconds))


def experiments() -> Iterator[dict[str, Any]]:
    for half, rate, (n_sources, n_channels) in itertools.product(("unseen", "tuning"), ONE_IN, SIZES):
        for name, scene in list(scenes(half, n_sources, n_channels).items())[:: ONE_IN[rate]]:
            keys = {"scene": name, "half": half, "n_sources": n_sources, "n_channels": n_channels}
            yield keys | {key: scene[key] for key in ("rt60", "spacing", "clips")} | {"rate": rate}
