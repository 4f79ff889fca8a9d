"""The protocol of chapter 8: repairs of one-channel NMF, on every voice × music pair of data/ at 0 dB.

Three groups of rows (about 20 minutes on one core):

- trials of the repair (left_out is a voice): the dictionary holds neither the scored voice nor `left_out`, and the row
  is used only to choose settings for `left_out`;
- comparisons (left_out is empty): the mixture itself, the mask of the true powers, HPSS, "both known", "music known";
- scores of the repair (left_out is empty): settings are the best of the trials that share neither the voice nor the
  song with the pair that is scored; three seeds, of the dictionary and of the factorization.
"""

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from nmflib import STFT, nmf, wiener
from nmflib._check import Array
from nmflib.course import scenes
from nmflib.experiments import tables
from nmflib.metrics import bss_eval, si_sdr

KEYS = ("method", "n_fft", "speech_rank", "music_rank", "voice", "piece", "left_out", "seed")
MEASURES = ("speech_gain", "music_gain", *(f"{s}_{x}" for s in ("speech", "music") for x in ("sdr", "sir", "sar")))

Row = dict[str, Any]
VOICES = ("speech_en_f", "speech_en_m", "speech_fr_f", "speech_it_m")
PIECES = {  # piece -> the clips that are added
    "music_coffee": ("music_coffee",),
    "music_robot": ("music_robot",),
    "gs": ("gs_guitar", "gs_synth"),
    "gs2": ("gs2_guitar", "gs2_backing"),
    "guitar_intro": ("guitar_intro",),
    "piano_mary": ("piano_mary",),
    "tabla_cc0": ("tabla_cc0",),
    "guitar_em9_cc0": ("guitar_em9_cc0",),
}
SONG = {piece: "Feelings" if piece in ("gs", "gs2", "guitar_intro") else piece for piece in PIECES}  # three of one song
GRID = list(itertools.product((4096, 8192, 2048), (30, 50), (2, 5, 10)))  # n_fft, speech_rank, music_rank
SEEDS = (0, 1, 2)


@lru_cache
def sound(name: str) -> Array:
    """A voice or a piece in one channel (n_samples,), float32."""
    clips = [scenes.mono(scenes.load(clip)[0]) for clip in PIECES.get(name, (name,))]
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


def separate(
    mixture: Array, stft: STFT, dictionaries: list[Array], n_free: int = 0, *, seed: int = 0, n_iter: int = 60
) -> Array:
    """Estimates (n_sources, n_samples): one source per dictionary (n_freq, d), and one for n_free spectra left to find.

    KL on magnitudes, the dictionaries' columns kept as they are; masks are ratios of magnitudes.
    """
    X, known = stft(mixture), np.hstack(dictionaries)
    model = nmf(np.abs(X), known.shape[1] + n_free, beta=1, dictionary=known, n_iter=n_iter, rng=seed)
    starts = np.cumsum([W.shape[1] for W in dictionaries])
    columns = np.split(np.arange(known.shape[1] + n_free), starts if n_free else starts[:-1])
    magnitudes = np.stack([model.W[:, k] @ model.H[k] for k in columns])
    return stft.inverse(wiener(X, magnitudes), len(mixture))


def hpss(mixture: Array, n_fft: int) -> Array:
    """(2, n_samples): percussive part for the voice, harmonic part for the music (librosa's median filters)."""
    import librosa

    harmonic, percussive = librosa.decompose.hpss(librosa.stft(mixture, n_fft=n_fft))
    return np.stack([librosa.istft(part, n_fft=n_fft, length=len(mixture)) for part in (percussive, harmonic)])


def estimate(run: Row) -> Array:
    """The two estimates (2, n_samples), voice and music, of one run (a dict of KEYS)."""
    references, mixture = pair(run["voice"], run["piece"])
    n_fft, stft, seed = run["n_fft"], STFT(run["n_fft"]), run["seed"]
    voices = tuple(v for v in VOICES if v not in (run["voice"], run["left_out"]))
    songs = tuple(p for p in PIECES if SONG[p] != SONG[run["piece"]])
    if run["method"] == "mixture":
        return np.stack([mixture, mixture])
    if run["method"] == "oracle":
        return stft.inverse(wiener(stft(mixture), np.abs(stft(references)) ** 2), len(mixture))
    if run["method"] == "hpss":
        return hpss(mixture, n_fft)
    speech = dictionary(voices, n_fft, run["speech_rank"], seed) if run["method"] != "music known" else None
    music = dictionary(songs, n_fft, run["music_rank"], seed) if run["method"] != "speech known" else None
    if run["method"] == "speech known":
        return separate(mixture, stft, [speech], run["music_rank"], seed=seed)
    if run["method"] == "music known":
        return separate(mixture, stft, [music], run["speech_rank"], seed=seed)[::-1]
    return separate(mixture, stft, [speech, music], seed=seed)  # both known


def measure(**run: Any) -> dict[str, float]:
    """The scores of one run: gain in SI-SDR over the mixture, and, for rows that are not trials, BSS Eval; in dB."""
    (references, mixture), estimates = pair(run["voice"], run["piece"]), estimate(run)
    scores = [si_sdr(s, e) - si_sdr(s, mixture) for s, e in zip(references, estimates, strict=True)]
    if not run["left_out"]:
        bss = bss_eval(references, estimates)
        scores += [figures[j] for j in (0, 1) for figures in (bss.sdr, bss.sir, bss.sar)]
    return {key: round(float(value), 3) for key, value in zip(MEASURES, scores, strict=False)}


def row(*settings: Any, left_out: str = "", seed: int = 0) -> Row:
    return dict(zip(KEYS, (*settings, left_out, seed), strict=True))


def trials() -> Iterator[Row]:
    """Runs that choose the settings."""
    for n_fft, speech_rank, music_rank in GRID:
        for left_out, voice in itertools.permutations(VOICES, 2):
            for piece in PIECES:
                yield row("speech known", n_fft, speech_rank, music_rank, voice, piece, left_out=left_out)


def comparisons() -> Iterator[Row]:
    """Runs without learning, and with the music learnt."""
    for voice, piece in itertools.product(VOICES, PIECES):
        yield row("mixture", 4096, 0, 0, voice, piece)
        for n_fft in (2048, 4096, 8192):
            yield row("oracle", n_fft, 0, 0, voice, piece)
        for n_fft in (2048, 4096, 8192, 16384):
            yield row("hpss", n_fft, 0, 0, voice, piece)
    for n_fft, rank in itertools.product((4096, 2048), (30, 50, 100)):
        for voice, piece in itertools.product(VOICES, PIECES):
            yield row("both known", n_fft, rank, rank, voice, piece)
            for free in (5, 20) if rank < 100 else ():
                yield row("music known", n_fft, free, rank, voice, piece)


def setting(r: Row) -> tuple[int, int, int]:
    return r["n_fft"], r["speech_rank"], r["music_rank"]


def chosen(table: list[Row], voice: str, piece: str, method: str = "speech known") -> tuple[int, int, int]:
    """(n_fft, speech_rank, music_rank) of the best mean gain over rows that share neither the voice nor the song.

    For the repair these are the trials without `voice`; for HPSS, which has no dictionary, its rows.
    """
    gains: dict[tuple[int, int, int], list[float]] = {}
    for r in table:
        mine = r["left_out"] == (voice if method == "speech known" else "")
        if r["method"] == method and mine and r["voice"] != voice and SONG[r["piece"]] != SONG[piece]:
            gains.setdefault(setting(r), []).append(r["gain"])
    return max(gains, key=lambda s: np.mean(gains[s]))


def scored() -> Iterator[Row]:
    """The repair with the settings that `chosen` gives, on every pair with every seed."""
    table = read()
    for voice, piece, seed in itertools.product(VOICES, PIECES, SEEDS):
        yield row("speech known", *chosen(table, voice, piece), voice, piece, seed=seed)


def results(table: list[Row], method: str, key: str = "gain") -> Array:
    """Scores of a method, (n_voices, n_pieces, n_seeds); in dB.

    The window of HPSS is chosen as the repair's settings are; the oracle has the repair's window; "both known" and
    "music known" have the settings that turned out best on the very pairs that are scored, an advantage.
    """
    mine = [r for r in table if r["method"] == method and not r["left_out"]]

    def of_pair(voice: str, piece: str) -> tuple[int, int, int]:
        if method in ("hpss", "speech known"):
            return chosen(table, voice, piece, method)
        if method == "oracle":
            return chosen(table, voice, piece)[0], 0, 0
        return max({setting(r) for r in mine}, key=lambda s: np.mean([r["gain"] for r in mine if setting(r) == s]))

    def of_seeds(voice: str, piece: str) -> list[float]:
        wanted = (voice, piece, *of_pair(voice, piece))
        return [r[key] for r in mine if (r["voice"], r["piece"], *setting(r)) == wanted]

    return np.array([[of_seeds(voice, piece) for piece in PIECES] for voice in VOICES])


def read() -> list[Row]:
    """The rows, and `gain`, the mean of both sources."""
    return [row | {"gain": (row["speech_gain"] + row["music_gain"]) / 2} for row in tables.read("repairs")]


STAGES = (trials, comparisons, scored)  # the settings that are scored are chosen by the trials
