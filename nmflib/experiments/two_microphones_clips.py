"""The length of sound that the IVA start needs: three scenes of chapter 12, excerpts of four lengths, three windows.

The excerpts begin at equal steps from the beginning of the scene to the last second at which they fit; the longer they
are, the more they overlap. About 3 minutes on one idle core.
"""

import numpy as np

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.course.scenes import stereo_scene
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import image_sdr, in_order
from nmflib.experiments.recordings import RATE, scenes

SCENES = {  # name -> a clip of data/, or an unseen room of recordings.py
    "dummy head, talkers": "kemar_two_talkers",
    "room 0.13 s, talkers": "unseen_2_00",
    "room 0.25 s, music": "room_music_guitar",
}
EXCERPTS = 5  # of each length
MEASURES = ("sdr", "frames", "swapped")


def images(scene: str) -> Array:
    """The true images (2, 2, n_samples) of a whole scene."""
    name = SCENES[scene]
    return scenes("unseen", 2)[name]["images"] if name.startswith("unseen") else stereo_scene(name)[0]


def excerpt(scene: str, seconds: float, k: int) -> Array:
    """The k-th of EXCERPTS excerpts, (2, 2, n_samples)."""
    whole, n = images(scene), round(seconds * RATE)
    begin = k * (whole.shape[-1] - n) // (EXCERPTS - 1)
    return whole[..., begin : begin + n]


def swapped(references: Array, estimates: Array, stft: STFT) -> float:
    """Share of the mixture's energy in bins where the outputs are nearer to the other source. (2, 2, n_samples) each"""
    S, Y = stft(references), stft(estimates)
    error, crossed = ((np.abs(S - other) ** 2).sum(axis=(0, 1, 3)) for other in (Y, Y[::-1]))
    energy = (np.abs(S.sum(axis=0)) ** 2).sum(axis=(0, 2))
    return float(energy[crossed < error].sum() / energy.sum())


def measure(scene: str, n_fft: int, seconds: float, part: int) -> Row:
    """Mean SDR of the images in dB, number of frames, share of energy in bins with the wrong source."""
    truth, stft = excerpt(scene, seconds, part), STFT(n_fft)
    X = stft(truth.sum(axis=0))
    found = in_order(truth, stft.inverse(separate_blind(X, 2, mixing="convolutive"), truth.shape[-1]))
    sdr = np.mean(image_sdr(truth, found))
    return {"sdr": round(float(sdr), 2), "frames": X.shape[-1], "swapped": round(swapped(truth, found, stft), 4)}


def experiments() -> list[Row]:
    return grid(scene=list(SCENES), n_fft=(1024, 2048, 4096), seconds=(2, 3, 4, 6), part=range(EXCERPTS))
