"""NMF and multichannel NMF for audio source separation: the tools of the notebook collection.

`from nmflib import nmf, STFT` needs NumPy alone; the modules scenes, metrics, separate, plot, report and explore are
imported by name and bring SciPy, librosa or matplotlib only when they are used.
"""

from nmflib.divergence import beta_divergence
from nmflib.nmf import NMF, nmf
from nmflib.separate import wiener
from nmflib.stft import STFT

__all__ = ["NMF", "STFT", "beta_divergence", "nmf", "wiener"]
