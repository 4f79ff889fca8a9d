"""The protocol of chapter 13: separation over many scenes and starts, with a microphone per source and with one less.

A seed draws the scene (which sounds, which seconds of them, which room or directions), and the start of the method.
In a room, leaving out the last microphone is all that distinguishes n < N from n = N: sounds, room and the other
microphones are the same. Panned scenes have two channels, so that two sources are n = N and three are n < N.

Stages. "windows": other draws (TUNING) at three windows, which choose a window for each method and start, separately
for rooms and panned scenes and for n = N and n < N. "reported": the draws of SEEDS at the windows chosen. "longer": 300
iterations from random values. "full_rank": `separate_recording` on the same draws; it chooses its windows itself.
About half an hour on one idle core.
"""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nmflib import STFT, separate_recording
from nmflib._arrays import every_bin
from nmflib._check import Array
from nmflib.experiments import methods, tables
from nmflib.experiments.draws import RATE, SCENES, SECONDS, images, mixing, start_images, stft_of, true_images
from nmflib.experiments.methods import energy, in_order
from nmflib.metrics import best_permutation, sdr
from nmflib.separate import group, with_phase_of

if TYPE_CHECKING:
    import pandas

TABLE = tables.path("monte_carlo")
WINDOWS = (512, 1024, 2048)  # half of it overlaps
stft = STFT(1024, 512)
SEEDS, TUNING = range(20), range(100, 104)  # draws that are reported; draws that choose the windows
N_ITER = {"EM": 50, "MU": 100, "ILRMA": 60, "start": 0}

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
    """The model of one run, and the mixture X (n_channels, n_freq, n_frames) to which it was fitted.

    EM estimates the noise. If the noise is lowered to nothing instead, and three microphones receive nearly the same,
    outputs grow that cancel each other.
    """
    X = true_images(scene, n_channels, seed, n_fft).sum(axis=0)
    known = {"blind": start_images, "oracle": true_images}.get(init)
    start = known(scene, n_channels, seed, n_fft) if known else None
    options = {"EM": {"noise": "diagonal"}, "MU": {"order": "joint"}}.get(method, {})
    return methods.fit(method, X, SCENES[scene], components, n_iter, seed, start, mixing(scene), **options), X


def modelled_power(model: Any) -> Array:
    """The power of x in the model, (n_channels, n_freq, n_frames)."""
    if hasattr(model, "demixing"):
        Q = np.abs(np.linalg.inv(model.demixing)) ** 2
    else:
        Q = np.abs(model.A) ** 2 if model.Q is None else model.Q
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


def measure(
    scene: str, n_sources: int, n_channels: int, method: str, init: str, n_fft: int, components: int, n_iter: int,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    """The scores of one run."""
    references = images(scene, n_channels, seed)
    if method in ("start", "full rank"):
        return measure_images(references, images_of(scene, n_channels, method, n_fft, seed))
    stft, mixture, S = stft_of(n_fft), references.sum(axis=0), true_images(scene, n_channels, seed, n_fft)
    model, X = fit(scene, n_channels, method, init, components, n_iter, seed, n_fft)
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


def images_of(scene: str, n_channels: int, method: str, n_fft: int, seed: int) -> Array:
    """The images (n_sources, n_channels, n_samples) that the blind start alone or `separate_recording` finds."""
    if method == "full rank":
        return separate_recording(images(scene, n_channels, seed).sum(axis=0), RATE, SCENES[scene], rng=seed)
    return stft_of(n_fft).inverse(start_images(scene, n_channels, seed, n_fft), SECONDS * RATE)


def measure_images(references: Array, estimates: Array) -> dict[str, float]:
    """SDR of every image, and its share of the energy; (n_sources, n_channels, n_samples) both."""
    estimates = in_order(references, estimates)
    share = energy(estimates, 2)
    row = {f"share_{j}": round(float(value), 4) for j, value in enumerate(share / share.sum(), start=1)}
    scores = (round(sdr(s, e), 2) for s, e in zip(references, estimates, strict=True))
    return row | {f"sdr_{j}": value for j, value in enumerate(scores, start=1)}


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
        yield "start", "blind", 0
    if missing:
        yield from [("EM", "oracle", 4), ("EM", "random", 1), ("MU", "random", 1)]


def experiment(*values: Any) -> dict[str, Any]:
    keys = ("scene", "n_sources", "n_channels", "method", "init", "n_fft", "components", "n_iter", "seed")
    return dict(zip(keys, (values[0], SCENES[values[0]], *values[1:]), strict=True))


def windows() -> Iterator[dict[str, Any]]:
    """Draws that are not reported, at every window."""
    for seed, (scene, n_channels), n_fft in itertools.product(TUNING, settings(), WINDOWS):
        for method, init, components in kinds(scene, n_channels):
            if components != 1:
                yield experiment(scene, n_channels, method, init, n_fft, components, N_ITER[method], seed)


Way = tuple[str, str, str, bool]


def way(row: dict[str, Any]) -> Way:
    """What a window is chosen for: method, start, mixing, and whether there are fewer channels than sources."""
    return row["method"], row["init"], mixing(row["scene"]), row["n_channels"] < row["n_sources"]


def best_windows() -> dict[Way, int]:
    """The window of the highest mean SDR over the draws of TUNING, from the table."""
    rows = [row for row in tables.read("monte_carlo") if row["seed"] in TUNING]
    levels: dict[Way, dict[int, list[float]]] = {}
    for row in rows:
        at = levels.setdefault(way(row), {n_fft: [] for n_fft in WINDOWS})
        at[row["n_fft"]].append(float(np.nanmean([row[f"sdr_{j}"] for j in (1, 2, 3)])))
    return {key: max(at, key=lambda n_fft: np.mean(at[n_fft])) for key, at in levels.items()}


def reported() -> Iterator[dict[str, Any]]:
    """Seed by seed, so that an unfinished table is balanced. The start alone has also the window of EM from it."""
    best = best_windows()
    for seed, (scene, n_channels) in itertools.product(SEEDS, settings()):
        for method, init, components in kinds(scene, n_channels):
            row = experiment(scene, n_channels, method, init, 0, components, N_ITER[method], seed)
            own, of_em = best[way(row)], best[way(row | {"method": "EM"})]
            for n_fft in dict.fromkeys((own, of_em) if method == "start" else (own,)):
                yield row | {"n_fft": n_fft}


def longer() -> Iterator[dict[str, Any]]:
    """Random values with three or six times the iterations."""
    best = best_windows()
    for seed, scene, missing in itertools.product(range(10), ("room, speech", "room, 3 talkers"), (0, 1)):
        for method in ("EM", "MU"):
            row = experiment(scene, SCENES[scene] - missing, method, "random", 0, 4, 300, seed)
            yield row | {"n_fft": best[way(row)]}


def full_rank() -> Iterator[dict[str, Any]]:
    for seed, (scene, n_channels) in itertools.product(SEEDS, settings()):
        if n_channels > 1:
            yield experiment(scene, n_channels, "full rank", "blind", 0, 0, 0, seed)


STAGES = [windows, reported, longer, full_rank]


def read() -> "pandas.DataFrame":
    """The reported runs, each at its method's best window, with what chapter 13 asks of each.

    init : "random", "oracle", or "found" for the blind start, which is an IVA, cluster or level start
    case : "n = N", "3 on 2" or "2 on 1", for panned scenes with ", panned"; kind : "speech" or "music"
    sdr, nothing, gain : mean SDR of the sources, SDR of doing nothing (x / N for each), and their difference, dB
    added : SDR minus that of the start alone in the same window, dB, where it ran
    weakest : share of the weakest output in the energy of all; loudest_sir, worst_sir : SIR in dB of the loudest
        output, and the lowest; leak : share of other sources in the energy of all outputs
    regained : gain in dB when the truth groups the components
    """
    import pandas as pd

    rows = [row for row in tables.read("monte_carlo") if row["seed"] in SEEDS]
    table = pd.DataFrame(rows)
    sdr, sir, share = (table[[f"{name}_{j}" for j in (1, 2, 3)]].to_numpy() for name in ("sdr", "sir", "share"))
    N, is_panned = table.n_sources, table.scene.map(mixing) == "instantaneous"
    enough = table.n_channels == N
    table["init"] = table.init.replace("blind", "found")
    table["kind"] = np.where(table.scene.str.contains("music|instruments"), "music", "speech")
    table["case"] = N.astype(str) + " on " + table.n_channels.astype(str)
    table["case"] = table.case.mask(enough, "n = N") + np.where(is_panned, ", panned", "")
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
    best = best_windows()
    others = [row["method"] == "start" and row["n_fft"] != best[way(row)] for row in rows]
    return table[~np.array(others)].reset_index(drop=True)
