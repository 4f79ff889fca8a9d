"""The protocol of chapter 13: separation over many scenes and starts, with a microphone per source and with one less.

In a room, leaving out the last microphone is all that distinguishes n < N from n = N: sounds, room and the other
microphones are the same. Panned scenes have two channels, so that two sources are n = N and three are n < N.
data/results/README.md describes the stages. About half an hour on one idle core.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from nmflib import separate_recording
from nmflib._arrays import every_bin
from nmflib._check import Array
from nmflib.experiments import methods, tables
from nmflib.experiments.draws import RATE, SCENES, images, mixing, start_images, stft_of, true_images
from nmflib.experiments.grid import Row
from nmflib.experiments.methods import energy, image_sdr, in_order, rounded
from nmflib.metrics import best_permutation, sdr
from nmflib.separate import group, with_phase_of

WINDOWS = (512, 1024, 2048)  # half of it overlaps
stft = stft_of(1024)
SEEDS, TUNING = range(20), range(100, 104)  # draws that are reported; draws that choose the windows
N_ITER = {"EM": 50, "MU": 100, "ILRMA": 60, "start": 0, "full rank": 0}

MEASURES = (
    *(f"sdr_{j}" for j in (1, 2, 3)),  # of each source's image, dB
    *(f"sir_{j}" for j in (1, 2, 3)),  # of the output given to that source: its own source against the others, dB
    *(f"share_{j}" for j in (1, 2, 3)),  # of the energy of all outputs
    "outputs",  # SDR of the sum of the outputs, dB
    "model",  # SDR of the modelled spectrogram with the mixture's phase, dB
    "purity",  # of the energy of all components, the part that belongs to the source each holds most of
    "regrouped",  # mean SDR of the images when every component is given to the source it holds most of, dB
)


def fit(
    scene: str, n_channels: int, method: str, init: str, components: int, n_iter: int, seed: int,
    n_fft: int = 1024,
) -> tuple[Any, Array]:  # fmt: skip
    """The model of one run, and the mixture X (n_channels, n_freq, n_frames) to which it was fitted."""
    X = true_images(scene, n_channels, seed, n_fft).sum(axis=0)
    known = {"blind": start_images, "oracle": true_images}.get(init)
    start = known(scene, n_channels, seed, n_fft) if known else None
    options = {"order": "joint"} if method == "MU" else {}
    return methods.fit(method, X, SCENES[scene], components, n_iter, seed, start, mixing(scene), **options), X


def modelled_power(model: Any) -> Array:
    """The power of x in the model, (n_channels, n_freq, n_frames)."""
    A = np.linalg.inv(model.demixing) if hasattr(model, "demixing") else model.A
    Q = model.Q if A is None else np.abs(A) ** 2
    powers = group(model.components(), model.source_of_component, Q.shape[-1])
    return np.einsum("fij,jfn->ifn", every_bin(Q, powers.shape[1]), powers)


def passed(model: Any, S: Array) -> Array:
    """The part of each true source in each output, (n_outputs, n_sources, n_channels, n_freq, n_frames).

    A fitted model is a linear filter, so an output for the mixture is the sum of the outputs for the true images S,
    (n_sources, n_channels, n_freq, n_frames).
    """
    return np.stack([model.images(s) for s in S], axis=1)


def of_components(model: Any, outputs: Array) -> Iterator[Array]:
    """Each output (n_outputs, ..., n_freq, n_frames) divided among its components by power, (n_components, ...)."""
    powers, owner = model.components(), model.source_of_component
    total = group(powers, owner, len(outputs))
    parts = np.divide(powers, total[owner], out=np.zeros_like(powers), where=total[owner] > 0)
    return (part * outputs[j] for part, j in zip(parts, owner, strict=True))


def measure(n_sources: int, **run: Any) -> Row:
    """The scores of one run, of which `run` holds the arguments of `fit`: of its images, and of the model, if any."""
    draw, row = (run["scene"], run["n_channels"], run["seed"]), {}
    references = images(*draw)
    if run["method"] == "full rank":
        estimates = separate_recording(references.sum(axis=0), RATE, n_sources, rng=run["seed"])
    elif run["method"] == "start":
        estimates = stft_of(run["n_fft"]).inverse(start_images(*draw, run["n_fft"]), references.shape[-1])
    else:
        estimates, row = of_model(*fit(**run), references, true_images(*draw, run["n_fft"]), run["n_fft"])
    estimates = in_order(references, estimates)
    share, numbers = energy(estimates, 2), range(1, n_sources + 1)
    row |= rounded([f"sdr_{j}" for j in numbers], image_sdr(references, estimates))
    return row | rounded([f"share_{j}" for j in numbers], share / share.sum(), 4)


def of_model(model: Any, X: Array, references: Array, S: Array, n_fft: int) -> tuple[Array, Row]:
    """The outputs of a model of X (n_sources, n_channels, n_samples), and the measures that need the model.

    references : the true images (n_sources, n_channels, n_samples); S : their STFTs
    """
    mixture, outputs, of_sources = references.sum(axis=0), model.images(X), passed(model, S)
    stft, n_samples = stft_of(n_fft), mixture.shape[-1]
    estimates = stft.inverse(outputs, n_samples)
    held = energy(of_sources, 3)[list(best_permutation(references, estimates))]  # (output, source)
    own = np.diag(held)
    scores = {f"sir_{j}": x for j, x in enumerate(10 * np.log10(own / (held.sum(axis=1) - own)), start=1)}
    held = np.stack([energy(part, 3) for part in of_components(model, of_sources)])  # (component, source)
    parts = np.stack(list(of_components(model, outputs)))
    regrouped = stft.inverse(group(parts, held.argmax(axis=1), len(S)), n_samples)
    modelled = stft.inverse(with_phase_of(X, np.sqrt(modelled_power(model))), n_samples)
    scores |= {
        "outputs": min(sdr(mixture, estimates.sum(axis=0)), 150),  # beyond, digits are those of rounding errors
        "model": sdr(mixture, modelled),
        "regrouped": np.mean([sdr(s, e) for s, e in zip(references, regrouped, strict=True)]),
    }
    purity = held.max(axis=1).sum() / held.sum()
    return estimates, rounded(scores, scores.values()) | {"purity": round(float(purity), 4)}


def settings() -> Iterator[tuple[str, int]]:
    """Every scene with its numbers of channels."""
    for scene, n_sources in SCENES.items():
        yield from ((scene, n) for n in ((2,) if scene.startswith("panned") else (n_sources, n_sources - 1)))


def kinds(scene: str, n_channels: int) -> Iterator[tuple[str, str, int]]:
    """(method, init, components per source) of the runs of one scene; for one microphone there is no blind start."""
    missing = n_channels < SCENES[scene]
    inits = ["random"] if n_channels == 1 else ["random", "blind"]
    yield from itertools.product(["EM", "MU"] if missing else ["EM", "MU", "ILRMA"], inits, [4])
    if n_channels > 1:
        yield from [("start", "blind", 0), ("full rank", "blind", 0)]
    if missing:
        yield from [("EM", "oracle", 4), ("EM", "random", 1), ("MU", "random", 1)]


def experiment(*values: Any) -> Row:
    keys = ("scene", "n_sources", "n_channels", "method", "init", "n_fft", "components", "n_iter", "seed")
    return dict(zip(keys, (values[0], SCENES[values[0]], *values[1:]), strict=True))


def windows() -> Iterator[Row]:
    """Draws that are not reported, at every window."""
    for seed, (scene, n_channels), n_fft in itertools.product(TUNING, settings(), WINDOWS):
        for method, init, components in kinds(scene, n_channels):
            if components != 1 and method != "full rank":
                yield experiment(scene, n_channels, method, init, n_fft, components, N_ITER[method], seed)


def way(row: Any) -> tuple[str, str, str, bool]:
    """What a window is chosen for: method, start, mixing, and whether there are fewer channels than sources."""
    return row["method"], row["init"], mixing(row["scene"]), row["n_channels"] < row["n_sources"]


def best_windows() -> dict[tuple[str, str, str, bool], int]:
    """The window of the highest mean SDR over the draws of TUNING, by way, from the table."""
    table = pd.DataFrame(tables.read("monte_carlo")).query("seed in @TUNING")
    table["sdr"] = table[["sdr_1", "sdr_2", "sdr_3"]].mean(axis=1)
    table["mixing"], table["fewer"] = table.scene.map(mixing), table.n_channels < table.n_sources
    return table.pivot_table("sdr", ["method", "init", "mixing", "fewer"], "n_fft").idxmax(axis=1).to_dict()


def reported() -> Iterator[Row]:
    """Seed by seed, so that an unfinished table is balanced. The start alone has also the window of EM from it.

    Full rank has the window 0, since it chooses its own.
    """
    best = best_windows()
    for seed, (scene, n_channels) in itertools.product(SEEDS, settings()):
        for method, init, components in kinds(scene, n_channels):
            row = experiment(scene, n_channels, method, init, 0, components, N_ITER[method], seed)
            own, of_em = best.get(way(row), 0), best.get(way(row | {"method": "EM"}))
            for n_fft in dict.fromkeys((own, of_em) if method == "start" else (own,)):
                yield row | {"n_fft": n_fft}


def longer() -> Iterator[Row]:
    """Random values with three or six times the iterations."""
    best = best_windows()
    for seed, scene, missing in itertools.product(range(10), ("room, speech", "room, 3 talkers"), (0, 1)):
        for method in ("EM", "MU"):
            row = experiment(scene, SCENES[scene] - missing, method, "random", 0, 4, 300, seed)
            yield row | {"n_fft": best[way(row)]}


STAGES = [windows, reported, longer]


def read() -> pd.DataFrame:
    """The reported runs, each at its method's best window, with what chapter 13 asks of each.

    init : "random", "oracle", or "found" for the blind start, which is an IVA, cluster or level start
    case : "n = N", "3 on 2" or "2 on 1", for panned scenes with ", panned"; kind : "speech" or "music"
    sdr, nothing, gain : mean SDR of the sources, SDR of doing nothing (x / N for each), and their difference, dB
    added : SDR minus that of the start alone in the same window, dB, where it ran
    weakest : share of the weakest output in the energy of all; loudest_sir, worst_sir : SIR in dB of the loudest
        output, and the lowest; leak : share of other sources in the energy of all outputs
    regained : gain in dB when the truth groups the components
    """
    best, table = best_windows(), pd.DataFrame(tables.read("monte_carlo"))
    table = table[table.seed.isin(SEEDS)].reset_index(drop=True)
    sdr, sir, share = (table[[f"{name}_{j}" for j in (1, 2, 3)]].to_numpy() for name in ("sdr", "sir", "share"))
    N, is_panned = table.n_sources, table.scene.map(mixing) == "instantaneous"
    others = [row["method"] == "start" and row["n_fft"] != best[way(row)] for row in table.to_dict("records")]
    table["init"] = table.init.replace("blind", "found")
    table["kind"] = np.where(table.scene.str.contains("music|instruments"), "music", "speech")
    table["case"] = N.astype(str) + " on " + table.n_channels.astype(str)
    table["case"] = table.case.mask(table.n_channels == N, "n = N") + np.where(is_panned, ", panned", "")
    table["sdr"] = np.nanmean(sdr, axis=1)
    table["nothing"] = 10 * np.log10(N / (N - 1))
    table["gain"] = table.sdr - table.nothing
    table["weakest"] = np.nanmin(share, axis=1)
    table["loudest_sir"] = sir[np.arange(len(table)), np.nanargmax(share, axis=1)]
    table["worst_sir"] = np.where(np.isnan(sir), np.inf, sir).min(axis=1)
    leak = np.nansum(share / (1 + 10 ** (sir / 10)), axis=1)
    table["leak"] = np.where(np.isnan(sir).all(axis=1), np.nan, leak)
    table["regained"] = table.regrouped - table.sdr
    draw = ["scene", "n_channels", "n_fft", "seed"]
    alone = table[table.method == "start"].set_index(draw).sdr
    table["added"] = table.sdr - alone.reindex(pd.MultiIndex.from_frame(table[draw])).to_numpy()
    return table[~np.array(others)].reset_index(drop=True)
