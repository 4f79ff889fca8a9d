"""The protocol of chapter 8: repairs of one-channel NMF, on every voice × music pair of data/ at 0 dB.

Three stages (about 20 minutes on one core). "trials": the dictionary of the repair holds neither the scored voice nor
`left_out`; these rows are used only to choose settings for `left_out`. "comparisons": the mixture itself, the mask of
the true powers, HPSS, both or the music known. "scored": the repair with the settings that are the best of the trials
that share neither the voice nor the song with the pair that is scored; the seed is of dictionary and factorization.
"""

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from nmflib import STFT, nmf, wiener
from nmflib._check import Array
from nmflib.course import scenes
from nmflib.experiments import tables
from nmflib.experiments.grid import Row, grid
from nmflib.experiments.methods import rounded
from nmflib.metrics import bss_eval, si_sdr

MEASURES = ("speech_gain", "music_gain", *(f"{s}_{x}" for s in ("speech", "music") for x in ("sdr", "sir", "sar")))
VOICES = ("speech_en_f", "speech_en_m", "speech_fr_f", "speech_it_m")
PIECES = ("music_coffee", "music_robot", "gs", "gs2", "guitar_intro", "piano_mary", "tabla_cc0", "guitar_em9_cc0")
ADDED = {"gs": ("gs_guitar", "gs_synth"), "gs2": ("gs2_guitar", "gs2_backing")}  # pieces that are sums of clips
SONG = {piece: "Feelings" if piece in ("gs", "gs2", "guitar_intro") else piece for piece in PIECES}  # three of one song


@lru_cache
def sound(name: str) -> Array:
    """A voice or a piece in one channel (n_samples,), float32."""
    clips = [scenes.mono(scenes.load(clip)[0]) for clip in ADDED.get(name, (name,))]
    return np.sum(clips, axis=0).astype(np.float32)


@lru_cache
def pair(voice: str, piece: str, snr_db: float = 0.0) -> tuple[Array, Array]:
    """references (2, n_samples): voice, music; mixture (n_samples,)."""
    rate = scenes.SAMPLE_RATE
    references, mixture, _ = scenes.mix((sound(voice), rate), (sound(piece), rate), snr_db=snr_db)
    return references.astype(np.float32), mixture.astype(np.float32)


@lru_cache(maxsize=64)
def dictionary(names: tuple[str, ...], n_fft: int, rank: int, seed: int) -> Array:
    """Spectra (n_freq, rank) learnt on the named voices or pieces together: KL, 100 iterations, columns of sum 1."""
    V = np.concatenate([np.abs(STFT(n_fft)(sound(name))) for name in names], axis=1)
    W = nmf(V, rank, beta=1, n_iter=100, rng=seed).W
    return W / np.maximum(W.sum(axis=0), np.finfo(W.dtype).tiny)


def separate(mixture: Array, stft: STFT, dictionaries: list[Array], n_free: int, seed: int) -> Array:
    """Estimates (n_sources, n_samples): one source per dictionary (n_freq, d), and one for n_free spectra left to find.

    KL on magnitudes, 60 iterations, the dictionaries' columns kept as they are; masks are ratios of magnitudes.
    """
    X, sizes = stft(mixture), [W.shape[1] for W in dictionaries] + [n_free] * (n_free > 0)
    model = nmf(np.abs(X), sum(sizes), beta=1, dictionary=np.hstack(dictionaries), n_iter=60, rng=seed)
    columns = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    magnitudes = np.stack([model.W[:, k] @ model.H[k] for k in columns])
    return stft.inverse(wiener(X, magnitudes), len(mixture))


def hpss(mixture: Array, n_fft: int) -> Array:
    """(2, n_samples): percussive part for the voice, harmonic part for the music (librosa's median filters)."""
    import librosa

    harmonic, percussive = librosa.decompose.hpss(librosa.stft(mixture, n_fft=n_fft))
    return np.stack([librosa.istft(part, n_fft=n_fft, length=len(mixture)) for part in (percussive, harmonic)])


def estimate(run: Row) -> Array:
    """The two estimates (2, n_samples), voice and music, of one run."""
    references, mixture = pair(run["voice"], run["piece"])
    method, n_fft, stft, seed = run["method"], run["n_fft"], STFT(run["n_fft"]), run["seed"]
    if method == "mixture":
        return np.stack([mixture, mixture])
    if method == "oracle":
        return stft.inverse(wiener(stft(mixture), np.abs(stft(references)) ** 2), len(mixture))
    if method == "hpss":
        return hpss(mixture, n_fft)
    voices = tuple(v for v in VOICES if v not in (run["voice"], run["left_out"]))
    songs = tuple(p for p in PIECES if SONG[p] != SONG[run["piece"]])
    speech = dictionary(voices, n_fft, run["speech_rank"], seed) if method != "music known" else None
    music = dictionary(songs, n_fft, run["music_rank"], seed) if method != "speech known" else None
    if method == "speech known":
        return separate(mixture, stft, [speech], run["music_rank"], seed)
    if method == "music known":
        return separate(mixture, stft, [music], run["speech_rank"], seed)[::-1]
    return separate(mixture, stft, [speech, music], 0, seed)  # both known


def measure(**run: Any) -> Row:
    """The scores of one run in dB: gain in SI-SDR over the mixture, and, for rows that are not trials, BSS Eval."""
    (references, mixture), estimates = pair(run["voice"], run["piece"]), estimate(run)
    scores = [si_sdr(s, e) - si_sdr(s, mixture) for s, e in zip(references, estimates, strict=True)]
    if not run["left_out"]:
        bss = bss_eval(references, estimates)
        scores += [figures[j] for j in (0, 1) for figures in (bss.sdr, bss.sir, bss.sar)]
    return rounded(MEASURES[: len(scores)], scores, 3)


def runs(method: str, n_fft: Any, speech_rank: Any = 0, music_rank: Any = 0, **pairs: Any) -> list[Row]:
    """Every combination of the settings; pairs : voice, piece, left_out, seed, where they are not all pairs."""
    settings = {"method": method, "n_fft": n_fft, "speech_rank": speech_rank, "music_rank": music_rank}
    return grid(**settings | {"voice": VOICES, "piece": PIECES, "left_out": "", "seed": 0} | pairs)


def trials() -> list[Row]:
    every = runs("speech known", (4096, 8192, 2048), (30, 50), (2, 5, 10), left_out=VOICES)
    return [run for run in every if run["left_out"] != run["voice"]]


def comparisons() -> list[Row]:
    every = runs("mixture", 4096) + runs("oracle", (2048, 4096, 8192)) + runs("hpss", (2048, 4096, 8192, 16384))
    for rank in (30, 50, 100):
        every += runs("both known", (4096, 2048), rank, rank)
    return every + runs("music known", (4096, 2048), (5, 20), (30, 50))


def setting(row: Row) -> tuple[int, int, int]:
    return row["n_fft"], row["speech_rank"], row["music_rank"]


def best(rows: list[Row]) -> tuple[int, int, int]:
    """(n_fft, speech_rank, music_rank) of the highest mean gain."""
    settings = pd.DataFrame(rows).groupby(["n_fft", "speech_rank", "music_rank"], sort=False)
    return settings.gain.mean().idxmax()


def chosen(table: list[Row], voice: str, piece: str, method: str = "speech known") -> tuple[int, int, int]:
    """(n_fft, speech_rank, music_rank) of the best mean gain over rows that share neither the voice nor the song.

    For the repair these are the trials without `voice`; for HPSS, which has no dictionary, its rows.
    """
    left_out = voice if method == "speech known" else ""
    rows = [row for row in table if (row["method"], row["left_out"]) == (method, left_out)]
    return best([row for row in rows if row["voice"] != voice and SONG[row["piece"]] != SONG[piece]])


def scored() -> list[Row]:
    table, found = read(), []
    for voice, piece in itertools.product(VOICES, PIECES):
        found += runs("speech known", *chosen(table, voice, piece), voice=voice, piece=piece, seed=(0, 1, 2))
    return found


def results(table: list[Row], method: str, key: str = "gain") -> Array:
    """Scores of a method, (n_voices, n_pieces, n_seeds); in dB.

    The window of HPSS is chosen as the repair's settings are; the oracle has the repair's window; "both known" and
    "music known" have the settings that turned out best on the very pairs that are scored, an advantage.
    """
    mine = [row for row in table if row["method"] == method and not row["left_out"]]

    def of_pair(voice: str, piece: str) -> list[float]:
        if method == "oracle":
            settings = chosen(table, voice, piece)[0], 0, 0
        else:
            settings = chosen(table, voice, piece, method) if method in ("hpss", "speech known") else best(mine)
        wanted = (voice, piece, *settings)
        return [row[key] for row in mine if (row["voice"], row["piece"], *setting(row)) == wanted]

    return np.array([[of_pair(voice, piece) for piece in PIECES] for voice in VOICES])


def read() -> list[Row]:
    """The rows, and `gain`, the mean of both sources."""
    return tables.read("repairs", gain=("speech_gain", "music_gain"))


STAGES = (trials, comparisons, scored)  # the settings that are scored are chosen by the trials
