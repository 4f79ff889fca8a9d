"""Panned (instantaneous) mixtures of the clips: `separate_panned`, its start, EM from it, and FastICA beside them.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python data/results/panned.py [method ...]

writes panned.csv beside it, one row per scene, window and method; started again, it goes on where it stopped.

Directions θ are drawn from fixed seeds, x = Σ_j (cos θ_j, sin θ_j) s_j, the sources of equal power. The tuning half
may be looked at while a method is being made; the unseen half has other voices and pieces, and is there to report.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile as sf

from nmflib._panned import closest_pair_images, panned_mixing, separate_panned, start_panned
from nmflib.mnmf import mnmf_em
from nmflib.stft import STFT
from nmflib.sweep import sweep

HERE = Path(__file__).resolve().parent
CLIPS, TABLE = HERE.parent / "clips", HERE / "panned.csv"
RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {
    "tuning": ["music_coffee", "guitar_intro", "tabla_cc0", "gs2_guitar"],
    "unseen": ["music_robot", "gs_synth", "piano_mary", "gs2_backing"],
}
LEAST = {2: 10, 3: 15, 4: 15}  # degrees between neighbouring directions


def clip(name: str, shift: float = 0.0) -> np.ndarray:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS, of unit power."""
    x = np.resize(
        np.roll(sf.read(CLIPS / f"{name}.flac", always_2d=True)[0][:, 0], int(shift * RATE)), SECONDS * RATE
    )
    return 0.05 * x / np.sqrt((x**2).mean())


def voices(half: str, n: int, rng: np.random.Generator) -> list[tuple[str, float]]:
    """n talkers: two voices, and the same voices seconds later."""
    return [(SPEECH[half][k % 2], 4.0 * (k // 2) + rng.uniform(0, 1)) for k in range(n)]


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
