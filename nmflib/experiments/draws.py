"""The scenes of chapter 13, drawn by a seed: sounds, seconds, room or directions; their STFTs and blind starts."""

from functools import lru_cache

import numpy as np

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.course import scenes
from nmflib.experiments.rooms import directions, panned_images, shoe_box

SECONDS, RATE = 4, 8000
SPEECH = ("speech_en_f", "speech_en_m", "speech_fr_f", "speech_it_m")
MUSIC = ("music_coffee", "guitar_intro", "gs_synth", "gs2_guitar", "piano_mary", "music_robot")
SCENES = {  # name -> number of sources
    "head, speech": 2,  # measured responses of a dummy head
    "studio, music": 2,  # two tracks of one song
    "room, speech": 2,  # simulated, as those that follow
    "room, music": 2,
    "room, 3 talkers": 3,
    "room, 3 instruments": 3,
    "panned, 2 talkers": 2,  # to two channels, without a room
    "panned, 2 instruments": 2,
    "panned, 3 talkers": 3,
    "panned, 3 instruments": 3,
}
LEAST = 15  # degrees between the directions of panned sources


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


def room_images(signals: list[Array], rng: np.random.Generator) -> Array:
    """SIMULATED: images (J, J, n_samples) of J sources and J microphones in a random room of RT60 0.2 s.

    The microphones are in a line, 10 cm apart, the sources 1 to 1.5 m away in directions about 100° / (J − 1) apart.
    """
    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    n, centre = len(signals), size / 2 + rng.uniform(-0.3, 0.3, 3)
    angles = np.deg2rad(np.linspace(40, 140, n) + rng.uniform(-15, 15, n))
    towards = [np.array([np.cos(angle), np.sin(angle), 0]) for angle in rng.permutation(angles)]
    sources = [centre + rng.uniform(1.0, 1.5) * direction for direction in towards]
    microphones = centre + np.outer(0.1 * (np.arange(n) - (n - 1) / 2), [1, 0, 0])
    room = shoe_box(size, 0.2, RATE, sources, microphones, signals=signals)
    return room.simulate(return_premix=True)[:, :, : SECONDS * RATE]


def mixing(scene: str) -> str:
    return "instantaneous" if scene.startswith("panned") else "convolutive"


def stft_of(n_fft: int) -> STFT:
    return STFT(n_fft, n_fft // 2)


@lru_cache(maxsize=2)
def images(scene: str, n_channels: int, seed: int) -> Array:
    """The true images (n_sources, n_channels, n_samples), of equal power over the microphones that are used."""
    rng = np.random.default_rng(seed)
    if scene.startswith(("room", "panned")):
        names = rng.choice(MUSIC if "music" in scene or "instr" in scene else SPEECH, SCENES[scene], replace=False)
        signals = [excerpt(name, rng) for name in names]
        is_room = scene.startswith("room")
        x = room_images(signals, rng) if is_room else panned_images(signals, directions(len(signals), LEAST, rng))
    else:
        x = excerpt({"head, speech": "kemar_two_talkers", "studio, music": "guitar_synth"}[scene], rng)
    x = x[:, :n_channels]
    return 0.05 * x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True))


@lru_cache(maxsize=3)
def start_images(scene: str, n_channels: int, seed: int, n_fft: int = 1024) -> Array:
    """The images that the blind start finds, (n_sources, n_channels, n_freq, n_frames)."""
    X = true_images(scene, n_channels, seed, n_fft).sum(axis=0)
    return separate_blind(X, SCENES[scene], mixing=mixing(scene), rng=seed)


def true_images(scene: str, n_channels: int, seed: int, n_fft: int = 1024) -> Array:
    """(n_sources, n_channels, n_freq, n_frames)"""
    return stft_of(n_fft)(images(scene, n_channels, seed))
