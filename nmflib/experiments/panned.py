"""Panned (instantaneous) mixtures of the clips: `separate_blind`, its start, EM from it, and FastICA.

Directions θ are drawn from fixed seeds, x = Σ_j (cos θ_j, sin θ_j) s_j, the sources of equal power. Methods are tuned
on the tuning half only; the unseen half has other voices and pieces, and is the one to report.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.decomposition import FastICA

from nmflib import STFT, initialise, mnmf_em, separate_blind
from nmflib._check import Array
from nmflib.blind.arrays import TINY
from nmflib.blind.panned import panned_mixing, real_share
from nmflib.experiments.grid import Row
from nmflib.experiments.methods import image_sdr, rounded, timed
from nmflib.experiments.recordings import MUSIC, SPEECH, clip
from nmflib.experiments.rooms import directions, panned_images

MORE_MUSIC = {"tuning": [*MUSIC["tuning"], "gs2_guitar"], "unseen": [*MUSIC["unseen"], "gs2_backing"]}
MEASURES = ("sdr", "worst_source", "real_share", "seconds")  # dB, dB, what `is_panned` compares, CPU (EM: its own)
LEAST = {2: 10, 3: 15, 4: 15}  # degrees between neighbouring directions


def voices(half: str, n: int, rng: np.random.Generator) -> list[tuple[str, float]]:
    """n talkers: two voices, and the same voices seconds later."""
    return [(SPEECH[half][k % 2], 4.0 * (k // 2) + rng.uniform(0, 1)) for k in range(n)]


@lru_cache
def scenes(half: str) -> dict[str, Row]:
    """Pairs, triples and quadruples of talkers, of music, and of both, by name."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half])
    found: dict[str, Row] = {}
    for n, kind in [*itertools.product((2, 3), ("speech", "mixed", "music") * 2), (4, "speech"), (4, "music")]:
        music = [(name, 0.0) for name in rng.permutation(MORE_MUSIC[half])]
        kinds = {"speech": voices(half, n, rng), "music": music[:n], "mixed": voices(half, 1, rng) + music[: n - 1]}
        sources, angles = kinds[kind], directions(n, LEAST[n], rng)
        signals = [0.05 * x / np.sqrt((x**2).mean()) for x in (clip(*source) for source in sources)]
        names = {"clips": "+".join(name for name, _ in sources), "angles": "+".join(f"{a:.0f}" for a in angles)}
        scene = {"n_sources": n, "kind": kind, **names, "images": panned_images(signals, angles)}
        found[f"{half}_{n}_{len(found):02d}"] = scene
    return found


def separate(method: str, scene: str, x: Array, n_sources: int, n_fft: int) -> Array:
    """(J, 2, T) images of x (2, T) by one method; "l0" is the usual start for more sources than channels."""
    if method == "FastICA":
        model = FastICA(n_sources, whiten="unit-variance", random_state=0, max_iter=1000)
        S = model.fit_transform(x.T)
        return model.mixing_.T[:, :, None] * S.T[:, None]
    stft = STFT(n_fft)
    X = stft(x)
    images = closest_basis_images(X, panned_mixing(X, n_sources)) if method == "l0" else panned(scene, n_fft)
    if method == "panned+EM":
        init = initialise(X, n_sources, 32, "oracle", mixing="instantaneous", images=images)
        init = replace(init, noise=1e-4 * (np.abs(X) ** 2).mean((0, 2)))
        images = mnmf_em(X, n_sources, 32, mixing="instantaneous", noise="fixed", n_iter=10, init=init).images(X)
    return stft.inverse(images, x.shape[-1])


def closest_basis_images(X: Array, A: Array) -> Array:
    """Images if in every bin the basis of least Σ log |s_i| were all that is active: the "l0" start."""
    n_channels, J = A.shape
    bases = list(itertools.combinations(range(J), n_channels))
    S = [np.tensordot(np.linalg.inv(A[:, b]), X, 1) for b in bases]
    best = np.argmin([np.log(np.abs(s) + TINY).sum(0) for s in S], axis=0)
    found = np.zeros((J, *X.shape[1:]), X.dtype)
    for k, (b, s) in enumerate(zip(bases, S, strict=True)):
        found[list(b)] += s * (best == k)
    return A.T[:, :, None, None] * found[:, None]


@lru_cache(maxsize=1)
def panned(scene: str, n_fft: int) -> Array:
    """The images (J, 2, F, N) of `separate_blind`, cached for EM."""
    images = scenes(scene.split("_")[0])[scene]["images"]
    return separate_blind(STFT(n_fft)(images.sum(0)), len(images), mixing="instantaneous")


def measure(scene: str, half: str, n_fft: int, method: str, **_: Any) -> Row:
    images = scenes(half)[scene]["images"]
    x = images.sum(0)
    estimates, seconds = timed(separate, method, scene, x, len(images), n_fft)
    values, share = image_sdr(images, estimates), round(real_share(STFT(n_fft)(x)), 3)
    return rounded(MEASURES, (np.mean(values), min(values), share, seconds)) | {"real_share": share}


def experiments() -> Iterator[Row]:
    """Every run: pairs at three windows, and by FastICA on the samples; more sources at one window."""
    for half in ("tuning", "unseen"):
        for name, scene in scenes(half).items():
            keys = {"scene": name, "half": half} | {key: value for key, value in scene.items() if key != "images"}
            runs = [(2048, method) for method in ("l0", "panned", "panned+EM")]
            if scene["n_sources"] == 2:
                runs = [(n_fft, "panned") for n_fft in (1024, 2048, 4096)] + [(4096, "FastICA")]
            yield from (keys | {"n_fft": n, "method": method} for n, method in runs)
