"""The protocol of chapter 13: separation over many scenes and starts, with a microphone per source and with one less.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.monte_carlo

writes monte_carlo.csv in data/results, one row per finished run. An interrupted run
resumes where it stopped; delete the table to measure everything again.

A seed draws the scene (which sounds, which seconds of them, which room), and the start of the method. Leaving out the
last microphone is all that distinguishes n < N from n = N: sounds, room and the other microphones are the same.
"""

import itertools
import sys
from functools import lru_cache

import numpy as np

from nmflib import STFT, ilrma, initialise, mnmf_em, mnmf_mu
from nmflib.blind import separate_blind
from nmflib.course import scenes
from nmflib.experiments.grid import run_grid
from nmflib.metrics import best_permutation, sdr
from nmflib.separate import group, with_phase_of

TABLE = scenes.data_folder() / "results" / "monte_carlo.csv"
SECONDS, RATE = 4, 8000
stft = STFT(1024, 512)
SEEDS = range(20)
N_ITER = {"EM": 50, "MU": 100, "ILRMA": 60}

SPEECH = ("speech_en_f", "speech_en_m", "speech_fr_f", "speech_it_m")
MUSIC = ("music_coffee", "guitar_intro", "gs_synth", "gs2_guitar", "piano_mary", "music_robot")
SCENES = {  # name -> number of sources; see `images`
    "head, speech": 2,  # measured responses of a dummy head
    "studio, music": 2,  # two tracks of one song
    "room, speech": 2,  # simulated, as those that follow
    "room, music": 2,
    "room, 3 talkers": 3,
    "room, 3 instruments": 3,
}
MEASURES = (
    *(f"sdr_{j}" for j in (1, 2, 3)),  # of each source's image, dB
    *(f"sir_{j}" for j in (1, 2, 3)),  # of the output given to that source: its own source against the others, dB
    *(f"share_{j}" for j in (1, 2, 3)),  # of the energy of all outputs
    "outputs",  # SDR of the sum of the outputs, dB
    "model",  # SDR of the modelled spectrogram with the mixture's phase, dB
    "purity",  # of the energy of all components, the part that belongs to the source each holds most of
    "regrouped",  # mean SDR of the images when every component is given to the source it holds most of, dB
)


@lru_cache
def sound(name):
    """A clip in one channel (n_samples,), or the images of a stereo scene (2, 2, n_samples), at RATE."""
    stereo = name in scenes.STEREO_SCENES
    return scenes.resample(*(scenes.stereo_scene(name) if stereo else mono_clip(name)), RATE)


def mono_clip(name):
    """A clip in one channel (n_samples,), and its sample rate."""
    x, rate = scenes.load(name)
    return scenes.mono(x), rate


def excerpt(name, rng):
    """SECONDS of a sound, from a random moment on, mean removed; (..., n_samples)"""
    x, n_samples = sound(name), SECONDS * RATE
    start = rng.integers(x.shape[-1] - n_samples + 1)
    x = x[..., start : start + n_samples]
    return x - x.mean(axis=-1, keepdims=True)


def room_images(signals, rng, rt60=0.2):
    """SIMULATED: images (J, J, n_samples) of J sources and J microphones in a random room.

    The microphones are in a line, 10 cm apart, the sources 1 to 1.5 m away in directions about 100° / (J − 1) apart.
    rt60 : reverberation time in s
    """
    import pyroomacoustics

    size = rng.uniform([4.5, 3.8, 2.5], [7.0, 5.5, 3.0])
    absorption, order = pyroomacoustics.inverse_sabine(rt60, size)
    room = pyroomacoustics.ShoeBox(size, fs=RATE, materials=pyroomacoustics.Material(absorption), max_order=order)
    n, centre = len(signals), size / 2 + rng.uniform(-0.3, 0.3, 3)
    angles = np.deg2rad(np.linspace(40, 140, n) + rng.uniform(-15, 15, n))
    for angle, signal in zip(rng.permutation(angles), signals, strict=True):
        offset = rng.uniform(1.0, 1.5) * np.array([np.cos(angle), np.sin(angle), 0])
        room.add_source(centre + offset, signal=signal)
    line = 0.1 * (np.arange(n) - (n - 1) / 2)
    room.add_microphone_array(centre[:, np.newaxis] + np.outer([1, 0, 0], line))
    return room.simulate(return_premix=True)[:, :, : SECONDS * RATE]


@lru_cache(maxsize=2)
def images(scene, n_channels, seed):
    """The true images (n_sources, n_channels, n_samples), of equal power over the microphones that are used."""
    rng = np.random.default_rng(seed)
    if scene.startswith("room"):
        names = rng.choice(MUSIC if "music" in scene or "instr" in scene else SPEECH, SCENES[scene], replace=False)
        x = room_images([excerpt(name, rng) for name in names], rng)
    else:
        x = excerpt({"head, speech": "kemar_two_talkers", "studio, music": "guitar_synth"}[scene], rng)
    x = x[:, :n_channels]
    return 0.05 * x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True))


@lru_cache(maxsize=2)
def start_images(scene, n_channels, seed):
    """What `nmflib.blind` finds: (n_sources, n_channels, n_freq, n_frames)."""
    return separate_blind(true_images(scene, n_channels, seed).sum(axis=0), SCENES[scene], rng=seed)


def initial(scene, n_channels, init, components, seed):
    """The initial values of one run."""
    X = true_images(scene, n_channels, seed).sum(axis=0)
    known = {"blind": start_images, "oracle": true_images}.get(init)
    if known is None:
        return initialise(X, SCENES[scene], components, "random", rng=seed)
    return initialise(X, SCENES[scene], components, "oracle", images=known(scene, n_channels, seed), rng=seed)


def true_images(scene, n_channels, seed):
    """(n_sources, n_channels, n_freq, n_frames)"""
    return stft(images(scene, n_channels, seed))


def fit(scene, n_channels, method, init, components, n_iter, seed, noise="diagonal"):
    """The model of one run, and what it was fitted to, X (n_channels, n_freq, n_frames).

    EM re-estimates the noise. Lowered to nothing instead (noise="anneal"), it lets outputs grow that cancel each other
    where three microphones hear nearly the same: chapter 13 shows it.
    """
    X = true_images(scene, n_channels, seed).sum(axis=0)
    start = initial(scene, n_channels, init, components, seed)
    if method == "ILRMA":
        return ilrma(X, components, n_iter=n_iter, init=None if init == "random" else start, rng=seed), X
    if method == "EM":
        return mnmf_em(X, SCENES[scene], components, noise=noise, n_iter=n_iter, init=start, rng=seed), X
    return mnmf_mu(X, SCENES[scene], components, n_iter=n_iter, init=start, rng=seed, order="joint"), X


def component_powers(model):
    """w_fk h_kn of every component, (n_components, n_freq, n_frames)."""
    return model.W.T[:, :, np.newaxis] * model.H[:, np.newaxis, :]


def modelled_power(model):
    """What the model says of |x|², (n_channels, n_freq, n_frames)."""
    if hasattr(model, "demixing"):
        Q = np.abs(np.linalg.inv(model.demixing)) ** 2
    else:
        Q = np.abs(model.A) ** 2 if model.Q is None else model.Q
    return np.einsum("fij,jfn->ifn", Q, group(component_powers(model), model.source_of_component, Q.shape[2]))


def passed(model, S):
    """What each output holds of each true source, (n_outputs, n_sources, n_channels, n_freq, n_frames).

    A fitted model is a linear filter of what the microphones hear, so an output of the mixture is the sum of what it
    gives for the true images S (n_sources, n_channels, n_freq, n_frames).
    """
    return np.stack([model.images(s) for s in S], axis=1)


def of_components(model, outputs):
    """The outputs (n_outputs, ..., n_freq, n_frames) shared out among the components of each, (n_components, ...).

    A component is a part of its output in proportion to its power.
    """
    powers, owner = component_powers(model), model.source_of_component
    total = group(powers, owner, len(outputs))
    parts = np.divide(powers, total[owner], out=np.zeros_like(powers), where=total[owner] > 0)
    return (part * outputs[j] for part, j in zip(parts, owner, strict=True))


def energy(x, n_axes):
    """Σ |x|² over the last n_axes."""
    return (x.real**2 + x.imag**2).sum(axis=tuple(range(-n_axes, 0)))


def measure(scene, n_channels, method, init, components, n_iter, seed):
    """The scores of one run."""
    references = images(scene, n_channels, seed)
    mixture, S = references.sum(axis=0), true_images(scene, n_channels, seed)
    model, X = fit(scene, n_channels, method, init, components, n_iter, seed)
    outputs, of_sources = model.images(X), passed(model, S)
    estimates = stft.inverse(outputs, mixture.shape[-1])
    order = list(best_permutation(references, estimates))
    held = energy(of_sources, 3)[order]  # (output, source)
    share = energy(estimates[order], 2)
    scores = {
        "sdr": [sdr(s, e) for s, e in zip(references, estimates[order], strict=True)],
        "sir": 10 * np.log10(np.diag(held) / (held.sum(axis=1) - np.diag(held))),
        "share": share / share.sum(),
    }
    row = {f"{name}_{j}": value for name, values in scores.items() for j, value in enumerate(values, start=1)}
    held = np.stack([energy(part, 3) for part in of_components(model, of_sources)])  # (component, source)
    parts = np.stack(list(of_components(model, outputs)))
    regrouped = stft.inverse(group(parts, held.argmax(axis=1), len(S)), mixture.shape[-1])
    modelled = stft.inverse(with_phase_of(X, np.sqrt(modelled_power(model))), mixture.shape[-1])
    row |= {
        "outputs": min(sdr(mixture, estimates.sum(axis=0)), 150),  # beyond, digits are those of rounding errors
        "model": sdr(mixture, modelled),
        "purity": held.max(axis=1).sum() / held.sum(),
        "regrouped": np.mean([sdr(s, e) for s, e in zip(references, regrouped, strict=True)]),
    }
    return {name: round(float(value), 4 if "share" in name or name == "purity" else 2) for name, value in row.items()}


def kinds(n_sources, n_channels, studio):
    """(method, init, components per source) of the runs of one scene; the studio mixture has no blind start."""
    inits = ["random"] if studio or n_channels == 1 else ["random", "blind"]
    yield from itertools.product(["EM", "MU"], inits, [4])
    if n_channels == n_sources:
        yield from itertools.product(["ILRMA"], inits, [4])
    else:
        yield from [("EM", "oracle", 4), ("EM", "random", 1), ("MU", "random", 1)]


def experiments():
    """Seed by seed, so that the table is balanced whenever it is read; then random values with six times the time."""
    for seed, (scene, n_sources), missing in itertools.product(SEEDS, SCENES.items(), (0, 1)):
        n_channels = n_sources - missing
        for method, init, components in kinds(n_sources, n_channels, scene.startswith("studio")):
            yield experiment(scene, n_channels, method, init, components, N_ITER[method], seed)
    for seed, scene, missing in itertools.product(range(3), ("room, speech", "room, 3 talkers"), (0, 1)):
        for method in ("EM", "MU"):
            yield experiment(scene, SCENES[scene] - missing, method, "random", 4, 300, seed)


def experiment(scene, n_channels, method, init, components, n_iter, seed):
    cell = {"scene": scene, "n_sources": SCENES[scene], "n_channels": n_channels, "method": method, "init": init}
    return cell | {"components": components, "n_iter": n_iter, "seed": seed}


def run(n_sources, **experiment):
    return measure(**experiment)


if __name__ == "__main__":
    run_grid(run, list(experiments()), TABLE, measures=MEASURES, n_jobs=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
