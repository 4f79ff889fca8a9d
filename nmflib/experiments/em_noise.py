"""The four noise schemes of `mnmf_em` from three starts (6 minutes on one idle core).

The scenes are eight of chapter 13 (two sources, two microphones, 4 s at 8 kHz). Every scheme starts from the same
values, noise included: a hundredth of the power of the bin. Annealing is run with schedules of three lengths. A row
with the noise "none" is the IVA start alone.

    sdr   of the images in dB, the mean of both sources
"""

from collections.abc import Iterator
from typing import Any

from nmflib.experiments import methods, monte_carlo
from nmflib.experiments.grid import grid

SCENES = ("head, speech", "room, speech", "studio, music", "room, music")
NOISES = ("diagonal", "isotropic", "anneal", "fixed")
N_ITER = (50, 200, 500)
N_COMPONENTS = 8  # per source
MEASURES = ("sdr",)


def measure(scene: str, seed: int, start: str, noise: str, n_iter: int) -> dict[str, float]:
    """The mean SDR of one run. seed : draws the scene and the random start"""
    true, S = monte_carlo.images(scene, 2, seed), monte_carlo.true_images(scene, 2, seed)
    X = S.sum(axis=0)
    known = {"IVA": monte_carlo.start_images, "oracle": monte_carlo.true_images}.get(start)
    images = known(scene, 2, seed) if known else None
    if noise != "none":
        images = methods.fit("EM", X, 2, N_COMPONENTS, n_iter, seed, images, noise=noise).images(X)
    estimates = monte_carlo.stft.inverse(images, true.shape[-1])
    return {"sdr": round(sum(methods.image_sdr(true, estimates)) / 2, 2)}


def experiments() -> Iterator[dict[str, Any]]:
    for scene in ((name, seed) for seed in (0, 1) for name in SCENES):
        here = {"scene": scene[0], "seed": scene[1]}
        yield {**here, "start": "IVA", "noise": "none", "n_iter": 0}
        yield from grid(**here, start=("random", "IVA", "oracle"), noise=NOISES, n_iter=N_ITER)
