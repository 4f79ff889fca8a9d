"""Score the library on your own copy of SiSEC's under-determined mixtures, beside ideal masks and published figures.

    python tools/sisec.py FOLDER [--table scores.csv]

FOLDER holds NAME_mix.wav with the true images NAME_sim_1.wav, NAME_sim_2.wav, … (or .flac), as the campaign names them
(https://sisec.inria.fr). Each mixture is separated from NAME_mix alone, all with one setting, then compared with the
images in the best order. Nothing is written into FOLDER.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nmflib import STFT, separate_recording
from nmflib._check import Array
from nmflib._pieces import window
from nmflib.course.audio import read_audio
from nmflib.metrics import best_permutation, bss_eval, sdr
from nmflib.recording import DETERMINED, PANNED, REFINED, mixing_of

Row = dict[str, Any]

PUBLISHED = {  # SDR of the images in dB: {mixture: (l0 start, EM from it)}
    "dev2_nodrums_inst": ((21.1, 1.7, 15.8), (27.1, 7.6, 21.4)),  # Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510
}
FIELDS = [
    "mixture", "seconds", "sample_rate", "mixing", "source", "sdr", "isr", "sir", "sar", "ideal_masks", "published_l0",
    "published_em",
]  # fmt: skip
IS_SUM = 10.0  # dB: SDR of the sum of the images below which they are not those of the mixture


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every mixture was scored; else print a sentence for each that was not, and return 2."""
    parser = argparse.ArgumentParser(prog="python tools/sisec.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds NAME_mix.wav, NAME_sim_1.wav, NAME_sim_2.wav, … (or .flac)")
    parser.add_argument("--table", type=Path, metavar="CSV", help="write the scores to this file, outside the folder")
    options = parser.parse_args(arguments)
    rows, failed = [], False
    try:
        mixtures = find(options.folder)
        if options.table:
            check_table(options.table, options.folder)
    except ValueError as error:
        return _refused(error)
    for name, (mix, images) in mixtures.items():
        try:
            scores = score(name, mix, images)
        except (ValueError, MemoryError) as error:
            failed = bool(_refused(error))
        else:
            print(described(scores), flush=True)
            rows += scores
    if options.table and rows:
        with options.table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return 2 if failed else 0


def find(folder: Path) -> dict[str, tuple[Path, list[Path]]]:
    """{name: (mixture, images in order)} of a folder; a ValueError if there is nothing to score."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    mixtures: dict[str, Path] = {}
    images: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        named = re.fullmatch(r"(?i)(.+)_(mix|sim_(\d+))\.(wav|flac)", path.name)
        if named and named[3]:
            images.setdefault(named[1], {})[int(named[3])] = path
        elif named:
            mixtures[named[1]] = path
    if not mixtures:
        raise ValueError(f"{folder} holds no mixture: no file is named NAME_mix.wav or NAME_mix.flac")
    if not any(len(images.get(name, ())) >= 2 for name in mixtures):
        some = next(iter(mixtures))
        raise ValueError(f"{folder} holds no true images: {some}_sim_1.wav, {some}_sim_2.wav, … are needed to score")
    return {
        name: (path, [image for _, image in sorted(images.get(name, {}).items())]) for name, path in mixtures.items()
    }


def check_table(table: Path, folder: Path) -> None:
    """Raise a ValueError if the table cannot be written, or would be in the folder."""
    if table.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{table} is in {folder}, where nothing is written; name another place")
    if table.is_dir() or not table.resolve().parent.is_dir():
        raise ValueError(f"{table} cannot be written: it is a folder, or in one that does not exist")


def score(name: str, mix: Path, images: Sequence[Path]) -> list[Row]:
    """A row of figures in dB for each source of a mixture."""
    if len(images) < 2:
        raise ValueError(f"{mix.name} has {len(images)} true images in the folder; two or more are needed to score it")
    x, rate = _read(mix)
    truth = []
    for path in images:
        image, image_rate = _read(path)
        if (image.shape, image_rate) != (x.shape, rate):
            raise ValueError(
                f"{path.name} has shape {image.shape} at {image_rate} Hz; {mix.name} has {x.shape} at {rate} Hz"
            )
        truth.append(image)
    s = np.stack(truth)
    if sdr(x, s.sum(0)) < IS_SUM:
        raise ValueError(
            f"{name}: its {len(s)} images do not sum to {mix.name}; some are missing, or of another mixture"
        )
    mixing = mixing_of(x, rate)
    estimates = separate_recording(x, rate, len(s), mixing=mixing)
    estimates = estimates[list(best_permutation(s, estimates))]
    figures = bss_eval(s, estimates)
    seconds = PANNED if mixing == "instantaneous" else REFINED if len(s) == 2 else DETERMINED
    ideal = ideal_masks(s, STFT(window(seconds, rate)))
    published = PUBLISHED.get(name, ((), ()))
    rows = []
    for j, (true, estimate) in enumerate(zip(s, estimates, strict=True)):
        decibels = {
            "sdr": sdr(true, estimate), "isr": figures.isr[j], "sir": figures.sir[j], "sar": figures.sar[j],
            "ideal_masks": sdr(true, ideal[j]),
        }  # fmt: skip
        row: Row = {"mixture": name, "seconds": round(x.shape[1] / rate, 1), "sample_rate": rate, "mixing": mixing}
        row |= {"source": j + 1, **{key: round(float(value), 2) for key, value in decibels.items()}}
        for key, values in zip(("published_l0", "published_em"), published, strict=True):
            row[key] = values[j] if len(values) == len(s) else ""
        rows.append(row)
    return rows


def ideal_masks(images: Array, stft: STFT) -> Array:
    """Their sum (I, T) through the Wiener masks of the true powers, channel by channel: (J, I, T). An oracle."""
    S = stft(images)
    power = np.abs(S) ** 2
    masks = power / np.maximum(power.sum(0), np.finfo(float).tiny)
    return np.asarray(stft.inverse(masks * S.sum(0), images.shape[-1]))


def described(rows: Sequence[Row]) -> str:
    """The rows of one mixture as lines, their mean last."""
    columns = {"sdr": "SDR", "isr": "ISR", "sir": "SIR", "sar": "SAR", "ideal_masks": "ideal masks",
               "published_l0": "published l0", "published_em": "published EM"}  # fmt: skip
    shown = {key: title for key, title in columns.items() if rows[0][key] != ""}
    first = rows[0]
    taken = "panned" if first["mixing"] == "instantaneous" else "room"
    lines = [f"{first['mixture']}: {first['seconds']} s at {first['sample_rate'] / 1e3:g} kHz, taken as {taken}; dB"]
    lines.append(" " * 10 + "".join(f"{title:>14}" for title in shown.values()))
    lines += [f"  source {row['source']}" + "".join(f"{row[key]:14.1f}" for key in shown) for row in rows]
    lines.append("  mean    " + "".join(f"{np.mean([row[key] for row in rows]):14.1f}" for key in shown))
    return "\n".join(lines)


def _read(path: Path) -> tuple[Array, int]:
    x, rate, _, _ = read_audio(path, path.name, 0.0, np.inf)
    return x, rate


def _refused(error: Exception) -> int:
    print(f"sisec: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
