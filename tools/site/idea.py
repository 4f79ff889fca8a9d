"""The picture of the first page: a melody of four notes between W and H, for every number r of parts, and its parts."""

import numpy as np
from ipywidgets import IntSlider

from nmflib import STFT, beta_divergence, nmf
from nmflib.course import plot
from nmflib.course.explore import explore
from nmflib.course.scenes import load, mono

plot.style()
x, sample_rate = load("piano_mary")
x, stft = mono(x)[: 6 * sample_rate], STFT(n_fft=4096, hop=1024)
X = stft(x)
V = np.abs(X)
D_mean = beta_divergence(V, np.full_like(V, V.mean()), beta=1)


def draw(r):
    model = nmf(V, r, n_iter=1000, accelerate=True, tol=1e-7, rng=0)
    order = np.argsort(model.W[64:108].argmax(axis=0))  # by pitch, 250 to 420 Hz
    names = [f"part {k + 1}" for k in range(r)]
    numbers = [str(k + 1) for k in range(r)]
    figure = plot.factorization(V, model.W[:, order], model.H[order], stft, sample_rate, names=numbers, max_hz=1000)
    figure.set_size_inches(6.4, 5)
    parts = stft.inverse(model.images(X)[order], len(x))
    sounds = {"piano": x, **dict(zip(names, parts, strict=True))}
    text = f"{1 - model.cost[-1] / D_mean:.0%} of V explained"
    return figure, text, {name: (sound, sample_rate) for name, sound in sounds.items()}


alt = "The spectrogram of a piano in the centre, its parts' spectra at the left, and above when each of them sounds."
explore(draw, alt, grid={}, r=IntSlider(value=2, min=1, max=5, description="parts r"))
