"""How much of a second path the blind start tolerates: the rank experiment of chapter 10 (a minute on one core).

In every bin a source's image is split into its part along the principal eigenvector of its covariance (one path) and
the rest (the second path). The rest is multiplied by `gain`: 0 leaves one path per source, 1 is the recording. The
images are added up again, and the blind start separates the mixture:

    share   of a source's energy that is second path (the mean of both sources)
    sdr     of the images that the blind start finds, in dB, source by source
    bound   SDR of the best demixing by one fixed 2 × 2 matrix per bin, found from the true images, in dB
    head    "yes": before they are added up, the paths of the sources are exchanged for those of the dummy head
"""

import numpy as np

from nmflib import STFT, separate_blind
from nmflib._check import Array
from nmflib.blind.arrays import mixing
from nmflib.course.scenes import stereo_scene
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import image_sdr

MEASURES = ("share", "sdr_1", "sdr_2", "bound_1", "bound_2")
SCENES = ("guitar_synth", "guitar_band", "piano_hands", "room_music_guitar", "kemar_two_talkers")
STFT_PAIR = STFT(4096, 2048)


def covariances(images: Array) -> Array:
    """Sum over frames of x xᴴ of every image, (F, J, I, I). images : (J, I, F, N)"""
    x = images.transpose(2, 0, 1, 3)
    return x @ x.conj().swapaxes(-1, -2)


def paths(images: Array) -> Array:
    """Principal eigenvectors (F, J, I) of the covariances: the paths if there were one per source."""
    return np.linalg.eigh(covariances(images))[1][..., -1]  # the eigenvalues of eigh increase


def with_second_path(name: str, gain: float, head: bool = False) -> Array:
    """The images (2, 2, F, N) of a scene with the second path of each source multiplied by `gain`."""
    images = STFT_PAIR(stereo_scene(name)[0])
    a = paths(images)
    along = np.einsum("fji,jifn->jfn", a.conj(), images)
    one_path = np.einsum("fji,jfn->jifn", a, along)
    second_path = gain * (images - one_path)
    if head:
        a = paths(STFT_PAIR(stereo_scene("kemar_two_talkers")[0]))
    return np.einsum("fji,jfn->jifn", a, along) + second_path


def measure(scene: str, gain: float, head: str) -> Row:
    images = with_second_path(scene, gain, head == "yes")
    X = images.sum(axis=0)
    by_matrices = np.stack([np.einsum("fij,jfn->ifn", mixing(image, X, 1e-9), X) for image in images])
    found = separate_blind(X.astype(np.complex64), 2, mixing="convolutive")
    n_samples = stereo_scene(scene)[0].shape[-1]
    true, found, best = (STFT_PAIR.inverse(S, n_samples) for S in (images, found, by_matrices))
    eigenvalues = np.linalg.eigvalsh(covariances(images))
    share = float((eigenvalues[..., 0].sum(axis=0) / eigenvalues.sum(axis=(0, 2))).mean())
    values = (share if share > 1e-12 else 0.0, *image_sdr(true, found), *image_sdr(true, best))  # below: rounding
    return {key: float(f"{value:.4g}") for key, value in zip(MEASURES, values, strict=True)}


def experiments() -> list[Row]:
    as_recorded = grid(scene=SCENES, gain=(0, 0.25, 0.5, 1, 2, 4), head="no")
    return as_recorded + grid(scene=SCENES[:3], gain=0, head="yes")
