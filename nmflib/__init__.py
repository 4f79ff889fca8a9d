"""NMF and multichannel NMF for audio source separation; the tools of the notebook collection."""

from nmflib.divergence import beta_divergence
from nmflib.nmf import NMF, nmf

__all__ = ["NMF", "beta_divergence", "nmf"]
