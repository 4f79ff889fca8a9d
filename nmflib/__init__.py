"""NMF and multichannel NMF for audio source separation: the tools of the notebook collection.

`from nmflib import nmf, mnmf_em, STFT` needs NumPy alone; the modules scenes, metrics, plot, report and explore are
imported by name and bring SciPy, librosa or matplotlib only when they are used.
"""

from nmflib._ilrma import ILRMA, ilrma
from nmflib._nmf import NMF, nmf
from nmflib.divergence import beta_divergence
from nmflib.mnmf import MNMF, MNMFInit, initialise, mnmf_em, mnmf_mu
from nmflib.separate import wiener
from nmflib.stft import STFT

__all__ = [
    "ILRMA",
    "MNMF",
    "NMF",
    "STFT",
    "MNMFInit",
    "beta_divergence",
    "ilrma",
    "initialise",
    "mnmf_em",
    "mnmf_mu",
    "nmf",
    "wiener",
]
