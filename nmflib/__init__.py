"""NMF and multichannel NMF for audio source separation.

`from nmflib import nmf, mnmf_em, STFT` needs NumPy alone; the functions that need SciPy load it themselves. README.md
says what each module holds.
"""

from nmflib._ilrma import ILRMA, ilrma
from nmflib._nmf import NMF, nmf
from nmflib.blind import separate_blind
from nmflib.divergence import beta_divergence
from nmflib.mnmf import MNMF, MNMFInit, initialise, mnmf_em, mnmf_mu
from nmflib.recording import separate_recording
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
    "separate_blind",
    "separate_recording",
    "wiener",
]
