"""The short-time Fourier transform and its inverse as one object, so that both have the same parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nmflib._check import Array, as_count, as_real


@dataclass(frozen=True, eq=False)
class STFT:
    """Short-time Fourier transform and its exact inverse.

    n_fft : window length in samples; hop : samples between frames (default n_fft // 4); window : any name or tuple of
    scipy.signal.get_window, or an array of n_fft samples

    Frame n is centred on sample n · hop, and the signal is zero before its beginning and after its end, as in librosa
    with pad_mode="constant". The inverse is the least-squares one (Griffin & Lim 1984,
    doi:10.1109/TASSP.1984.1164317).

    >>> x = np.random.default_rng(0).standard_normal((2, 1001))
    >>> stft = STFT(n_fft=256)
    >>> X = stft(x)
    >>> X.shape
    (2, 129, 16)
    >>> bool(np.allclose(stft.inverse(X, 1001), x))
    True
    """

    n_fft: int = 1024
    hop: int = None  # type: ignore[assignment]  # __post_init__ makes it an int
    window: Any = "hann"
    w: Array = field(init=False, repr=False)  # (n_fft,) the window's samples

    def __post_init__(self) -> None:
        n_fft = as_count(self.n_fft, "n_fft", least=2)
        hop = as_count(max(n_fft // 4, 1) if self.hop is None else self.hop, "hop", least=1)
        if hop > n_fft:
            raise ValueError(f"hop is {hop}; it must be an integer from 1 to n_fft = {n_fft}")
        object.__setattr__(self, "hop", hop)
        if isinstance(self.window, str) and self.window == "hann":  # the default needs no SciPy
            w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        elif isinstance(self.window, str | tuple):
            from scipy.signal import get_window

            w = get_window(self.window, n_fft)
        else:
            w = as_real(self.window, "window").astype(float)
        if w.shape != (n_fft,):
            raise ValueError(f"window has shape {w.shape}; it must have n_fft = {n_fft} samples")
        least = self._least_weight(w, hop)
        if least <= 1e-10 * float((w**2).max()):
            raise ValueError(
                f"hop is {hop}: with this window some samples get no weight (NOLA fails, in the middle or at the ends "
                "of a signal); use a smaller hop, or a window that is not zero around its centre"
            )
        object.__setattr__(self, "w", w)

    def _least_weight(self, w: Array, hop: int) -> float:
        """The least sum of w² over the frames at a sample, between the first two centres or after the last one.

        Elsewhere more frames overlap. The last centre is at most n_fft // 4 samples before the end of the signal.
        """
        square = np.zeros(2 * self.n_fft + hop)
        square[self.n_fft : 2 * self.n_fft] = w**2
        centre = self.n_fft + self.n_fft // 2
        between = square[centre : centre + hop] + square[centre - hop : centre]
        after = square[centre : centre + min(hop - 1, self.n_fft // 4)]
        return float(min(between.min(), after.min(initial=np.inf)))

    def n_frames(self, n_samples: int) -> int:
        """The number of frames of n_samples: as in librosa, or more if they are needed to cover the last sample."""
        return 1 + max(n_samples // self.hop, -((self.n_fft // 4 - n_samples) // self.hop))

    def __call__(self, x: Array) -> Array:
        """The STFT of real signals, x (..., n_samples) -> (..., n_freq, n_frames), n_freq = n_fft // 2 + 1.

        float32 samples give complex64.
        """
        x = np.atleast_1d(as_real(x, "x"))
        before, n_frames = self.n_fft // 2, self.n_frames(x.shape[-1])
        length = (n_frames - 1) * self.hop + self.n_fft
        padded = np.zeros((*x.shape[:-1], max(length, before + x.shape[-1])), dtype=x.dtype)
        padded[..., before : before + x.shape[-1]] = x
        frames = np.lib.stride_tricks.sliding_window_view(padded[..., :length], self.n_fft, axis=-1)
        X = np.fft.rfft(frames[..., :: self.hop, :] * self.w.astype(x.dtype), axis=-1)
        return np.ascontiguousarray(np.swapaxes(X, -1, -2))

    def inverse(self, X: Array, n_samples: int | None = None) -> Array:
        """The signal whose STFT is nearest to X in the least-squares sense: exactly x when X = stft(x).

        X : (..., n_freq, n_frames) -> (..., n_samples); n_samples defaults to (n_frames − 1) · hop
        """
        X = np.asarray(X)
        if X.ndim < 2 or X.shape[-2] != self.n_fft // 2 + 1:
            raise ValueError(
                f"X has shape {X.shape}; it must be (..., {self.n_fft // 2 + 1}, n_frames) for n_fft = {self.n_fft}"
            )
        n_frames = X.shape[-1]
        if n_samples is None:
            n_samples = (n_frames - 1) * self.hop
        elif self.n_frames(n_samples) != n_frames:
            raise ValueError(f"X has {n_frames} frames; {n_samples} samples need {self.n_frames(n_samples)}")
        frames = np.fft.irfft(np.swapaxes(X, -1, -2), n=self.n_fft, axis=-1)
        w = self.w.astype(frames.dtype)
        length = (n_frames - 1) * self.hop + self.n_fft
        x, weight = np.zeros((*X.shape[:-2], length), dtype=frames.dtype), np.zeros(length, dtype=frames.dtype)
        for n in range(n_frames):
            here = slice(n * self.hop, n * self.hop + self.n_fft)
            x[..., here] += w * frames[..., n, :]
            weight[here] += w**2
        inside = slice(self.n_fft // 2, self.n_fft // 2 + n_samples)
        return x[..., inside] / weight[inside]

    def frequencies(self, sample_rate: float) -> Array:
        """Centre frequency of every bin in Hz, (n_freq,)."""
        return np.arange(self.n_fft // 2 + 1) * (sample_rate / self.n_fft)

    def times(self, n_frames: int, sample_rate: float) -> Array:
        """Centre of every frame in seconds, (n_frames,)."""
        return np.arange(n_frames) * (self.hop / sample_rate)
