"""The four noise schemes of `mnmf_em` from three starts (6 minutes on one idle core).

The scenes are eight of chapter 13 (two sources, two microphones, 4 s at 8 kHz). Every scheme starts from the same
values, noise included: a hundredth of the power of the bin. Annealing is run with schedules of three lengths. A row
with the noise "none" is the IVA start alone.
"""

import numpy as np

from nmflib.experiments import draws, methods
from nmflib.experiments.grid import Row, grid

SCENES = ("head, speech", "room, speech", "studio, music", "room, music")
NOISES = ("diagonal", "isotropic", "anneal", "fixed")
N_ITER = (50, 200, 500)
N_COMPONENTS = 8  # per source
MEASURES = ("sdr",)  # of the images in dB, the mean of both sources


def measure(scene: str, seed: int, start: str, noise: str, n_iter: int) -> Row:
    """The mean SDR of one run. seed : draws the scene and the random start"""
    known = {"IVA": draws.start_images, "oracle": draws.true_images}.get(start)
    images = known(scene, 2, seed) if known else None
    if noise != "none":
        X = draws.true_images(scene, 2, seed).sum(axis=0)
        images = methods.fit("EM", X, 2, N_COMPONENTS, n_iter, seed, images, noise=noise).images(X)
    true = draws.images(scene, 2, seed)
    estimates = draws.stft_of(1024).inverse(images, true.shape[-1])
    return methods.rounded(MEASURES, [np.mean(methods.image_sdr(true, estimates))])


def experiments() -> list[Row]:
    alone = grid(scene=SCENES, seed=(0, 1), start="IVA", noise="none", n_iter=0)
    return alone + grid(scene=SCENES, seed=(0, 1), start=("random", "IVA", "oracle"), noise=NOISES, n_iter=N_ITER)
