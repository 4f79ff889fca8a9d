"""How much of a second path the blind start bears: the rank experiment of chapter 10.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.second_path

writes second_path.csv in data/results, one row per finished run (about a minute on one idle core). An interrupted run
resumes where it stopped; delete the table to measure everything again.

In every bin a source's image is split into its part along the principal eigenvector of its covariance (one path) and
the rest (the second path). The rest is multiplied by `gain`: 0 leaves one path per source, 1 is the recording. The
images are added up again and the mixture is separated by the blind start, with two true answers beside it:

    share   of a source's energy that is second path (the mean of both sources)
    sdr     of the images that the blind start finds, in dB, source by source
    bound   SDR of the best demixing by one fixed 2 × 2 matrix per bin, found from the true images, in dB
    head    "yes": before they are added up, the paths of the sources are exchanged for those of the dummy head
"""

import csv
from functools import lru_cache

import numpy as np

from nmflib import STFT
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments.grid import grid, run_grid
from nmflib.metrics import best_permutation, sdr

TABLE = scenes.data_folder() / "results" / "second_path.csv"
MEASURES = ("share", "sdr_1", "sdr_2", "bound_1", "bound_2")
SCENES = ("guitar_synth", "guitar_band", "piano_hands", "room_music_guitar", "kemar_two_talkers")
GAINS = (0, 0.25, 0.5, 1, 2, 4)
STFT_PAIR = STFT(4096, 2048)


def covariances(images):
    """Sum over frames of x xᴴ of every image, (F, J, I, I). images : (J, I, F, N)"""
    x = images.transpose(2, 0, 1, 3)
    return x @ x.conj().swapaxes(-1, -2)


def paths(images):
    """Principal eigenvectors (F, J, I) of the covariances: the paths if there were one per source."""
    return np.linalg.eigh(covariances(images))[1][..., -1]  # the eigenvalues of eigh increase


@lru_cache
def scene(name):
    """True images (2, 2, F, N) and their length in samples."""
    images, _ = scenes.stereo_scene(name)
    return STFT_PAIR(images), images.shape[-1]


def with_second_path(name, gain, head=False):
    """The images (2, 2, F, N) of a scene with the second path of each source multiplied by `gain`."""
    images, _ = scene(name)
    a = paths(images)
    along = np.einsum("fji,jifn->jfn", a.conj(), images)
    one_path = np.einsum("fji,jfn->jifn", a, along)
    new_path = np.einsum("fji,jfn->jifn", paths(scene("kemar_two_talkers")[0]), along) if head else one_path
    return new_path + gain * (images - one_path)


def second_path_share(images):
    """Share of the smaller eigenvalue in the energy of every source, all bins together, (J,)."""
    eigenvalues = np.linalg.eigvalsh(covariances(images))
    return eigenvalues[..., 0].sum(axis=0) / eigenvalues.sum(axis=(0, 2))


def best_fixed_demixing(images):
    """Least-squares estimates (J, I, F, N) of the images by one matrix per bin: R_jx R_xx⁻¹ x."""
    x = images.sum(axis=0).swapaxes(0, 1)
    R_xx = x @ x.conj().swapaxes(-1, -2)
    R_xx += 1e-9 * np.trace(R_xx, axis1=1, axis2=2).real[:, None, None] * np.eye(2) + 1e-30 * np.eye(2)
    found = [(s @ x.conj().swapaxes(-1, -2)) @ np.linalg.inv(R_xx) @ x for s in images.swapaxes(1, 2)]
    return np.stack(found).swapaxes(1, 2)


def scores(images, estimates, n_samples):
    """SDR of the images in their best order, in dB."""
    true, found = STFT_PAIR.inverse(images, n_samples), STFT_PAIR.inverse(estimates, n_samples)
    return [sdr(true[j], found[k]) for j, k in enumerate(best_permutation(true, found))]


def measure(run):
    """The measures of one run (its scene, gain and head), as the table writes them."""
    name = run["scene"]
    images, n_samples = with_second_path(name, run["gain"], run["head"] == "yes"), scene(name)[1]
    found = scores(images, separate_blind(images.sum(axis=0).astype(np.complex64), 2), n_samples)
    bound = scores(images, best_fixed_demixing(images), n_samples)
    share = float(second_path_share(images).mean())
    share = share if share > 1e-12 else 0.0  # rounding
    return {key: float(f"{value:.4g}") for key, value in zip(MEASURES, (share, *found, *bound), strict=True)}


def read():
    """The rows, numbers as numbers, and `sdr` and `bound`, the means of both sources."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    for r in rows:
        r.update({key: float(r[key]) for key in ("gain", *MEASURES)})
        r["sdr"], r["bound"] = (r["sdr_1"] + r["sdr_2"]) / 2, (r["bound_1"] + r["bound_2"]) / 2
    return rows


def main():
    experiments = grid(scene=SCENES, gain=GAINS, head="no") + grid(scene=SCENES[:3], gain=0, head="yes")
    run_grid(lambda **run: measure(run), experiments, TABLE, measures=MEASURES)


if __name__ == "__main__":
    main()
