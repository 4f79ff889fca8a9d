"""The protocol of chapter 14: multichannel NMF beside what came after it, on the same scenes: SDR and CPU seconds.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.beyond

writes beyond.csv in data/results, one row per finished run. An interrupted run resumes where
it stopped; delete the table to measure everything again. The process may not use more than 6 GB of memory.

AuxIVA, FastMNMF and FastMNMF2 are pyroomacoustics', and so is "ILRMA (pra)"; the rest is this library's. All have four
components per source where they have components. Their starts are their own, except "blind": `nmflib.blind`, the time
of which is then part of theirs. The scenes: `head` and `room` are clips of data/, those called unseen_… are simulated
rooms of blind_start.py, which were not looked at while the blind start was made.
"""

import time
import warnings
from functools import lru_cache

import numpy as np
from pyroomacoustics import bss

from nmflib import STFT, ilrma, initialise, mnmf_em, mnmf_mu
from nmflib.blind import separate_blind
from nmflib.blind.arrays import project_back
from nmflib.course import scenes
from nmflib.experiments import blind_start
from nmflib.experiments.grid import run_grid
from nmflib.metrics import best_permutation, sdr

TABLE = scenes.data_folder() / "results" / "beyond.csv"
SECONDS, COMPONENTS, MEMORY = 8, 4, 6 * 2**30
SCENES = {  # name -> (sources, reverberation time in s; None: no room)
    "head, talkers": (2, None),
    "room, music": (2, 0.25),
    "unseen_2_01": (2, 0.13),
    "unseen_2_07": (2, 0.4),
    "unseen_3_00": (3, 0.13),
}
OWN = {"head, talkers": "kemar_two_talkers", "room, music": "room_music_guitar"}
RUNS = [  # method, start, seeds; the first four need a microphone per source
    ("AuxIVA", "own", 1),
    ("ILRMA (pra)", "own", 2),
    ("ILRMA", "own", 2),
    ("ILRMA", "blind", 1),
    ("blind", "own", 1),
    ("EM", "random", 2),
    ("EM", "blind", 1),
    ("MU", "random", 2),
    ("MU", "blind", 1),
    ("FastMNMF", "own", 1),
    ("FastMNMF2", "own", 1),
]
ITERATIONS = (10, 50)
MEASURES = ("sdr", "worst", "seconds")  # SDR of the images in dB: mean, worst source; CPU seconds of the separation


@lru_cache(maxsize=2)
def images(scene):
    """The true images (n_sources, 2, n_samples) at 16 kHz, at most SECONDS long."""
    if scene in OWN:
        return scenes.stereo_scene(OWN[scene])[0][..., : SECONDS * scenes.SAMPLE_RATE]
    found = blind_start.scenes("unseen", SCENES[scene][0])
    return next(s["images"] for s in found if s["scene"] == scene)


def frames(scene):
    """The STFT: what suits the blind start, with more sources than microphones a shorter window."""
    return STFT(4096) if SCENES[scene][0] == 2 else STFT(2048)


@lru_cache(maxsize=2)
def spectrum(scene):
    """X (2, n_freq, n_frames) of the mixture."""
    return frames(scene)(images(scene).sum(axis=0))


@lru_cache(maxsize=2)
def found_blind(scene):
    """Images that the blind start finds, and the CPU seconds it takes."""
    X, started = spectrum(scene), time.process_time()
    return separate_blind(X, SCENES[scene][0]), time.process_time() - started


def separate(scene, method, start, n_iter, seed):
    """Images (n_sources, 2, n_freq, n_frames) by one method, and the CPU seconds it took, the blind start included."""
    X, n_sources = spectrum(scene), SCENES[scene][0]
    if method == "blind":
        return found_blind(scene)
    known, spent = found_blind(scene) if start == "blind" else (None, 0.0)
    started = time.process_time()
    if method in ("EM", "MU", "ILRMA"):
        if start == "blind":
            init = initialise(X, n_sources, COMPONENTS, "oracle", images=known, rng=seed)
        else:
            init = initialise(X, n_sources, COMPONENTS, "random", rng=seed) if start == "random" else None
        if method == "EM":
            model = mnmf_em(X, n_sources, COMPONENTS, noise="isotropic", n_iter=n_iter, init=init, rng=seed)
        elif method == "MU":
            model = mnmf_mu(X, n_sources, COMPONENTS, n_iter=n_iter, init=init, rng=seed)
        else:
            model = ilrma(X, COMPONENTS, n_iter=n_iter, init=init, rng=seed)
        return model.images(X), spent + time.process_time() - started
    return by_pyroomacoustics(X, n_sources, method, n_iter, seed), time.process_time() - started


def by_pyroomacoustics(X, n_sources, method, n_iter, seed):
    """Images by pyroomacoustics; its arrays are (n_frames, n_freq, n_channels)."""
    np.random.seed(seed)  # noqa: NPY002 - the generator pyroomacoustics uses
    Z = np.ascontiguousarray(X.transpose(2, 1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "AuxIVA":
            return project_back(X, bss.auxiva(Z, n_iter=n_iter, proj_back=False).transpose(2, 1, 0))
        if method == "ILRMA (pra)":
            Y = bss.ilrma(Z, n_iter=n_iter, n_components=COMPONENTS, proj_back=False)
            return project_back(X, Y.transpose(2, 1, 0))
        fast = {"FastMNMF": bss.fastmnmf, "FastMNMF2": bss.fastmnmf2}[method]
        Y = fast(Z, n_src=n_sources, n_iter=n_iter, n_components=COMPONENTS, mic_index="all")
        return Y.transpose(3, 0, 2, 1)


def sounds(scene, estimates):
    """Image STFTs as sounds (n_sources, 2, n_samples), in the order of the true sources."""
    true = images(scene)
    e = frames(scene).inverse(estimates, true.shape[-1])
    return e[list(best_permutation(true, e))]


def measure(scene, method, start, n_iter, seed):
    """The row of one run."""
    estimates, seconds = separate(scene, method, start, n_iter, seed)
    values = [sdr(s, e) for s, e in zip(images(scene), sounds(scene, estimates), strict=True)]
    return {"sdr": round(np.mean(values), 2), "worst": round(min(values), 2), "seconds": round(seconds, 2)}


def experiments():
    """Every run, scene by scene."""
    for scene, (n_sources, _) in SCENES.items():
        for method, start, n_seeds in RUNS[4 if n_sources > 2 else 0 :]:
            for n_iter in (0,) if method == "blind" else ITERATIONS:
                for seed in range(n_seeds):
                    yield {"scene": scene, "method": method, "start": start, "n_iter": n_iter, "seed": seed}


def main():
    import resource  # not on Windows, where the notebook reads this file too

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    table = run_grid(measure, list(experiments()), TABLE, measures=MEASURES)
    print(table[table.error != ""].to_string() if (table.error != "").any() else "no run failed")
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


if __name__ == "__main__":
    main()
