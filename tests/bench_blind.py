"""Blind separation on simulated rooms: nmflib.blind beside AuxIVA and ILRMA of pyroomacoustics. Not a test: a program.

    python tests/bench_blind.py [method ...]      (blind, turned, auxiva, ilrma; all of them when none is named)

Writes one row per scene, method and run into data/results/blind_start.csv, keeping the rows of methods not named, and
prints the summary. The scenes are drawn once, from fixed seeds. The tuning half may be looked at while a method is
being made; the unseen half has other voices, other pieces and other rooms, and is there to report.
"""

from __future__ import annotations

import csv
import itertools
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from nmflib.blind import project_back, separate_blind, separate_determined, whiten
from nmflib.stft import STFT

ROOT = Path(__file__).resolve().parents[1]
CLIPS, TABLE = ROOT / "data" / "clips", ROOT / "data" / "results" / "blind_start.csv"
RATE, SECONDS = 16000, 8
SPEECH = {"tuning": ["speech_en_f", "speech_en_m"], "unseen": ["speech_fr_f", "speech_it_m"]}
MUSIC = {
    "tuning": ["music_coffee", "guitar_intro", "tabla_cc0"],
    "unseen": ["music_robot", "gs_synth", "piano_mary"],
}
FIELDS = ["scene", "half", "n_sources", "rt60", "spacing", "clips", "method", "run", "sdr", "worst_source", "seconds"]


def clip(name: str, shift: float = 0.0) -> np.ndarray:
    """(T,) the first channel of a clip, turned round by `shift` seconds, repeated or cut to SECONDS."""
    x = sf.read(CLIPS / f"{name}.flac", always_2d=True)[0][:, 0]
    return np.resize(np.roll(x, int(shift * RATE)), SECONDS * RATE)


def room_images(signals: list[np.ndarray], rt60: float, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """(J, 2, T) images of equal power of sources at 1 to 1.6 m from two microphones in a random shoe-box room."""
    import pyroomacoustics as pra

    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    absorption, order = pra.inverse_sabine(rt60, size)
    room = pra.ShoeBox(size, fs=RATE, materials=pra.Material(absorption), max_order=order)
    centre = size / 2 + rng.uniform(-0.4, 0.4, 3) * [1, 1, 0.5]
    turn = rng.uniform(0, 2 * np.pi)
    axis, side = np.array([np.cos(turn), np.sin(turn), 0]), np.array([-np.sin(turn), np.cos(turn), 0])
    apart = {2: 40, 3: 35}[len(signals)]  # degrees between neighbouring sources, seen from the microphones
    angles = np.zeros(len(signals))
    while (np.diff(angles) < apart).any():
        angles = np.sort(rng.uniform(25, 155, len(signals)))
    for angle, signal in zip(np.deg2rad(rng.permutation(angles)), signals, strict=True):
        distance = rng.uniform(1.0, 1.6)
        place = centre + distance * (np.cos(angle) * axis + np.sin(angle) * side) + [0, 0, rng.uniform(-0.2, 0.3)]
        room.add_source(np.clip(place, 0.3, size - 0.3), signal=signal)
    room.add_microphone_array(np.stack([centre - axis * spacing / 2, centre + axis * spacing / 2], axis=1))
    images = room.simulate(return_premix=True)[:, :, : SECONDS * RATE]
    return images / np.sqrt((images**2).mean((1, 2), keepdims=True)) * 0.05


def scenes(half: str, n_sources: int) -> list[dict[str, Any]]:
    """The scenes of one half: every RT60 and spacing, with speech, music, or both in turn."""
    rng = np.random.default_rng({"tuning": 1, "unseen": 2}[half] + 10 * n_sources)
    rt60s, repeats = ([0.13, 0.25, 0.4], 2) if n_sources == 2 else ([0.13, 0.25], 1)
    speech, music, found = SPEECH[half], MUSIC[half], []
    grid = itertools.product(range(repeats), enumerate(rt60s), enumerate([0.05, 0.2, 1.0]))
    for repeat, (a, rt60), (b, spacing) in grid:
        k, kind, shifts = len(found), (a + b + repeat) % 3, [0.0, 0.0, 0.0]
        if n_sources == 2:
            names = [speech, [speech[k % 2], music[k % 3]], [music[k % 3], music[(k + 1) % 3]]][kind]
            if kind == 0:
                shifts[1] = rng.uniform(0, 4)
        else:
            names = [[*speech, speech[k % 2]], [*speech, music[k % 3]], music][kind]
            if kind == 0:
                shifts[2] = 4.0  # the third talker is one of the two voices, 4 s apart
        images = room_images([clip(n, s) for n, s in zip(names, shifts, strict=False)], rt60, spacing, rng)
        found.append(
            dict(scene=f"{half}_{n_sources}_{k:02d}", rt60=rt60, spacing=spacing, clips="+".join(names), images=images)
        )
    for name in ["kemar_two_talkers", "room_music_guitar"] if (half, n_sources) == ("tuning", 2) else []:
        images = np.stack([sf.read(CLIPS / f"{name}_image{j}.flac")[0].T for j in (1, 2)])
        found.append(dict(scene=name, rt60="", spacing="", clips=name, images=images))
    return [dict(s, half=half, n_sources=n_sources) for s in found]


def sdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """(J,) 10 log10 |s|² / |s − ŝ|² of the images, all channels together, in the best order."""
    error = ((references[:, None] - estimates[None]) ** 2).sum((2, 3))
    ratio = 10 * np.log10((references**2).sum((1, 2))[:, None] / error)
    j = np.arange(len(ratio))
    return max((ratio[j, list(p)] for p in itertools.permutations(j)), key=np.sum)


def run(method: str, X: np.ndarray, n_sources: int, seed: int) -> np.ndarray:
    """(J, I, F, N) images by one method; `seed` is its random start (turned, ilrma)."""
    if method == "blind":
        return separate_blind(X, n_sources, rng=seed)
    if method == "turned":  # the same mixture seen through a random rotation in every bin
        rng = np.random.default_rng(seed)
        G = rng.standard_normal((X.shape[1], 2, 2)) + 1j * rng.standard_normal((X.shape[1], 2, 2))
        return separate_determined(X, np.einsum("fij,jfn->ifn", np.linalg.qr(G)[0], whiten(X)), rng=0)
    import pyroomacoustics as pra

    np.random.seed(seed)  # noqa: NPY002 — the generator pyroomacoustics uses
    frames = np.ascontiguousarray(X.transpose(2, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Y = (
            pra.bss.auxiva(frames, n_iter=60, proj_back=False)
            if method == "auxiva"
            else pra.bss.ilrma(frames, n_src=n_sources, n_iter=60, proj_back=False, n_components=4)
        )
    return project_back(X, Y.transpose(2, 1, 0))


def measure(scene: dict[str, Any], method: str, seed: int) -> dict[str, Any]:
    """One row of the table."""
    images = scene["images"]
    stft = STFT(4096 if scene["n_sources"] == 2 else 2048)
    X = stft(images.sum(0))
    started = time.process_time()
    estimates = run(method, X, scene["n_sources"], seed)
    seconds = time.process_time() - started
    values = sdr(images, stft.inverse(estimates, images.shape[-1]))
    row = {k: scene[k] for k in FIELDS if k in scene}
    return dict(
        row,
        method=method,
        run=seed,
        sdr=f"{values.mean():.2f}",
        worst_source=f"{values.min():.2f}",
        seconds=f"{seconds:.1f}",
    )


def summary(rows: list[dict[str, Any]]) -> None:
    """Mean and median over scenes; of several runs of one scene, the median of those that stayed finite."""
    groups = sorted({(r["n_sources"], r["half"], r["method"]) for r in rows}, key=str)
    for key in groups:
        mine = [r for r in rows if (r["n_sources"], r["half"], r["method"]) == key]
        mine = [r for r in mine if r["rt60"]]
        rt60s = sorted({str(r["rt60"]) for r in mine})
        per = {s: np.nanmedian([float(r["sdr"]) for r in mine if r["scene"] == s]) for s in {r["scene"] for r in mine}}
        by_rt60 = [np.median([per[s] for s in {r["scene"] for r in mine if str(r["rt60"]) == t}]) for t in rt60s]
        v = np.array(list(per.values()))
        print(
            *key,
            f"scenes {len(v)} mean {v.mean():.2f} median {np.median(v):.2f} lowest {v.min():.2f};",
            " ".join(f"RT60 {t}: {m:.1f}" for t, m in zip(rt60s, by_rt60, strict=True)),
        )


def main(methods: list[str]) -> None:
    old: list[dict[str, Any]] = []
    if TABLE.exists():
        with TABLE.open() as file:
            old = [r for r in csv.DictReader(file) if r["method"] not in methods]
    rows = []
    for n_sources, half in itertools.product((2, 3), ("unseen", "tuning")):
        for scene in scenes(half, n_sources):
            for method in methods:
                seeds = {"ilrma": 5, "turned": 2}.get(method, 1)
                for seed in range(seeds if n_sources == 2 or method == "blind" else 0):
                    rows.append(measure(scene, method, seed))
                    print(*rows[-1].values(), flush=True)
            save(old + rows)
    summary(old + rows)


def save(rows: list[dict[str, Any]]) -> None:
    """The table, in the order of the scenes."""
    rows = sorted(rows, key=lambda r: (int(r["n_sources"]), r["half"], r["scene"], r["method"], int(r["run"])))
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1:] or ["blind", "turned", "auxiva", "ilrma"])
