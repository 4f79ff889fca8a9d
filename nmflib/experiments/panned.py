"""Panned (instantaneous) mixtures of the clips: `separate_panned`, its start, EM from it, and FastICA beside them.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.panned [method ...]

writes panned.csv in data/results, one row per scene, window and method. An interrupted run resumes where it stopped.

Directions θ are drawn from fixed seeds, x = Σ_j (cos θ_j, sin θ_j) s_j, the sources of equal power. The tuning half
may be looked at while a method is being made; the unseen half has other voices and pieces, and is there to report.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import soundfile as sf

from nmflib import initialise, mnmf_em
from nmflib.blind.panned import closest_basis_images, panned_mixing, real_share, separate_panned
from nmflib.course.scenes import data_folder
from nmflib.experiments.grid import run_grid
from nmflib.stft import STFT

CLIPS, TABLE = data_folder() / "clips", data_folder() / "results" / "panned.csv"
RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {
    "tuning": ["music_coffee", "guitar_intro", "tabla_cc0", "gs2_guitar"],
    "unseen": ["music_robot", "gs_synth", "piano_mary", "gs2_backing"],
}
METHODS = ["l0", "panned", "panned+EM", "FastICA"]
EM = dict(n_components=32, noise=1e-4, n_iter=10)
LEAST = {2: 10, 3: 15, 4: 15}  # degrees between neighbouring directions


def clip(name: str, shift: float = 0.0) -> np.ndarray:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS, of unit power."""
    x = np.resize(np.roll(sf.read(CLIPS / f"{name}.flac", always_2d=True)[0][:, 0], int(shift * RATE)), SECONDS * RATE)
    return 0.05 * x / np.sqrt((x**2).mean())


def voices(half: str, n: int, rng: np.random.Generator) -> list[tuple[str, float]]:
    """n talkers: two voices, and the same voices seconds later."""
    return [(SPEECH[half][k % 2], 4.0 * (k // 2) + rng.uniform(0, 1)) for k in range(n)]


@lru_cache
def scenes(half: str) -> list[dict[str, Any]]:
    """Pairs, triples and quadruples of talkers, of music, and of both."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half])
    found = []
    for n, kind in [*itertools.product((2, 3), ("speech", "mixed", "music") * 2), (4, "speech"), (4, "music")]:
        music = [(name, 0.0) for name in rng.permutation(MUSIC[half])]
        sources = {"speech": voices(half, n, rng), "music": music[:n], "mixed": voices(half, 1, rng) + music[: n - 1]}
        angles = np.zeros(n)
        while np.diff(np.sort(angles)).min() < LEAST[n]:
            angles = rng.uniform(0, 90, n)
        signals = np.stack([clip(*source) for source in sources[kind]])
        A = np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))])
        found.append(
            dict(
                scene=f"{half}_{n}_{len(found):02d}",
                half=half,
                n_sources=n,
                kind=kind,
                clips="+".join(name for name, _ in sources[kind]),
                angles="+".join(f"{a:.0f}" for a in angles),
                images=np.einsum("ij,jt->jit", A, signals),
                A=A,
            )
        )
    return found


def sdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """(J,) 10 log10 |s|² / |s − ŝ|² of the images, all channels together, in the best order."""
    error = ((references[:, None] - estimates[None]) ** 2).sum((2, 3))
    ratio = 10 * np.log10((references**2).sum((1, 2))[:, None] / (error + 1e-30))
    j = np.arange(len(ratio))
    return max((ratio[j, list(p)] for p in itertools.permutations(j)), key=np.sum)


def separate(method: str, scene: str, x: np.ndarray, n_sources: int, n_fft: int) -> np.ndarray:
    """(J, 2, T) images of x (2, T) by one method; "l0" is the start that is usual for more sources than channels."""
    if method == "FastICA":
        from sklearn.decomposition import FastICA

        model = FastICA(n_sources, whiten="unit-variance", random_state=0, max_iter=1000)
        S = model.fit_transform(x.T)
        return model.mixing_.T[:, :, None] * S.T[:, None]
    stft = STFT(n_fft)
    X = stft(x)
    if method == "l0":
        images = closest_basis_images(X, panned_mixing(X, n_sources))
    else:
        images = panned(scene, n_fft)
        if method == "panned+EM":
            init = replace(
                initialise(X, n_sources, EM["n_components"], "oracle", mixing="instantaneous", images=images),
                noise=EM["noise"] * (np.abs(X) ** 2).mean((0, 2)),
            )
            model = mnmf_em(
                X, n_sources, EM["n_components"], mixing="instantaneous", noise="fixed", n_iter=EM["n_iter"], init=init
            )
            images = model.images(X)
    return stft.inverse(images, x.shape[-1])


@lru_cache(maxsize=1)
def panned(scene: str, n_fft: int) -> np.ndarray:
    """The images (J, 2, F, N) of `separate_panned`, kept for EM."""
    images = next(s["images"] for s in scenes(scene.split("_")[0]) if s["scene"] == scene)
    return separate_panned(STFT(n_fft)(images.sum(0)), len(images))


def measure(scene: str, half: str, n_fft: int, method: str, **_: Any) -> dict[str, str]:
    """The measures of one row; seconds: CPU time (EM without its start), real_share: what `is_panned` compares."""
    images = next(s["images"] for s in scenes(half) if s["scene"] == scene)
    x = images.sum(0)
    started = time.process_time()
    values = sdr(images, separate(method, scene, x, len(images), n_fft))
    return dict(
        sdr=f"{values.mean():.2f}",
        worst_source=f"{values.min():.2f}",
        real_share=f"{real_share(STFT(n_fft)(x)):.3f}",
        seconds=f"{time.process_time() - started:.1f}",
    )


def experiments(methods: list[str]) -> Iterator[dict[str, Any]]:
    """Every run: pairs at three windows, and by FastICA on the samples; more sources at one window."""
    for half in ("tuning", "unseen"):
        for scene in scenes(half):
            keys = {key: scene[key] for key in ("scene", "half", "n_sources", "kind", "clips", "angles")}
            if scene["n_sources"] == 2:
                runs = [(n_fft, "panned") for n_fft in (1024, 2048, 4096)] + [(4096, "FastICA")]
            else:
                runs = [(2048, method) for method in ("l0", "panned", "panned+EM")]
            yield from (keys | {"n_fft": n, "method": method} for n, method in runs if method in (methods or METHODS))


def main(methods: list[str]) -> None:
    """Measure what is missing; then the mean and the least over scenes, by kind and number of sources."""
    table = run_grid(
        measure, list(experiments(methods)), TABLE, measures=["sdr", "worst_source", "real_share", "seconds"]
    )
    for keys in (["half", "n_sources", "kind", "n_fft", "method"], ["half", "n_sources", "n_fft", "method"]):
        print(table.groupby(keys)[["sdr", "worst_source", "real_share"]].agg(["mean", "min"]).round(2).to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
