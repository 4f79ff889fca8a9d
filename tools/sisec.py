"""Score the library on your own copy of SiSEC's under-determined mixtures, beside ideal masks and published figures.

    python tools/sisec.py FOLDER [--table scores.csv]

FOLDER holds NAME_mix.wav with the true images NAME_sim_1.wav, NAME_sim_2.wav, … (or .flac), as the campaign names them
(https://sisec.inria.fr). Each mixture is separated from NAME_mix alone, all with one setting, then compared with the
images in the best order. Nothing is written into FOLDER.
"""

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from nmflib import STFT, separate_recording
from nmflib._pieces import window
from nmflib.course.audio import read_audio
from nmflib.metrics import best_permutation, bss_eval, sdr
from nmflib.recording import DETERMINED, PANNED, REFINED, mixing_of

PUBLISHED = {  # SDR of the images in dB: {mixture: (l0 start, EM from it)}
    "dev2_nodrums_inst": ((21.1, 1.7, 15.8), (27.1, 7.6, 21.4)),  # Ozerov & Févotte 2010, doi:10.1109/TASL.2009.2031510
}
TITLES = {
    "sdr": "SDR", "isr": "ISR", "sir": "SIR", "sar": "SAR", "ideal_masks": "ideal masks",
    "published_l0": "published l0", "published_em": "published EM",
}  # fmt: skip
IS_SUM = 10.0  # dB: SDR of the sum of the images below which they are not those of the mixture


def main(arguments=None):
    """Return 0 if every mixture was scored; else print a sentence for each that was not, and return 2."""
    parser = argparse.ArgumentParser(prog="python tools/sisec.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="holds NAME_mix.wav, NAME_sim_1.wav, NAME_sim_2.wav, … (or .flac)")
    parser.add_argument("--table", type=Path, metavar="CSV", help="write the scores to this file, outside the folder")
    options = parser.parse_args(arguments)
    try:
        mixtures = find(options.folder)
        if options.table:
            check_table(options.table.resolve(), options.folder.resolve())
    except ValueError as error:
        return refused(error)
    rows, status = [], 0
    for name, files in mixtures.items():
        try:
            scores = score(name, *files)
        except (ValueError, MemoryError) as error:
            status = refused(error)
        else:
            print(described(scores), flush=True)
            rows += scores
    if options.table and rows:
        pd.DataFrame(rows).to_csv(options.table, index=False, lineterminator="\n")
    return status


def refused(error):
    print(f"sisec: {error}", file=sys.stderr)
    return 2


def find(folder):
    """{name: [mixture, its images in order]} of a folder; a ValueError if there is nothing to score."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    files = {}
    for path in sorted(folder.iterdir()):
        if named := re.fullmatch(r"(?i)(.+)_(?:mix|sim_(\d+))\.(?:wav|flac)", path.name):
            files.setdefault(named[1], {})[int(named[2] or 0)] = path
    mixtures = {name: [path for _, path in sorted(parts.items())] for name, parts in files.items() if 0 in parts}
    if not mixtures:
        raise ValueError(f"{folder} holds no mixture: no file is named NAME_mix.wav or NAME_mix.flac")
    if max(map(len, mixtures.values())) < 3:
        some = next(iter(mixtures))
        raise ValueError(f"{folder} holds no true images: {some}_sim_1.wav, {some}_sim_2.wav, … are needed to score")
    return mixtures


def check_table(table, folder):
    """Raise a ValueError if the table cannot be written, or would be in the folder."""
    if table.is_relative_to(folder):
        raise ValueError(f"{table} is in {folder}, where nothing is written; name another place")
    if table.is_dir() or not table.parent.is_dir():
        raise ValueError(f"{table} cannot be written: it is a folder, or in one that does not exist")


def score(name, mix, *images):
    """A row of figures in dB for each source of a mixture."""
    if len(images) < 2:
        raise ValueError(f"{mix.name} has {len(images)} true images in the folder; two or more are needed to score it")
    (x, rate), *truth = (read_audio(path, path.name, 0.0, np.inf)[:2] for path in (mix, *images))
    for path, (image, its_rate) in zip(images, truth, strict=True):
        if (image.shape, its_rate) != (x.shape, rate):
            raise ValueError(
                f"{path.name} has shape {image.shape} at {its_rate} Hz; {mix.name} has {x.shape} at {rate} Hz"
            )
    s = np.stack([image for image, _ in truth])
    if sdr(x, s.sum(0)) < IS_SUM:
        raise ValueError(
            f"{name}: its {len(s)} images do not sum to {mix.name}; some are missing, or of another mixture"
        )
    mixing = mixing_of(x, rate)
    estimates = separate_recording(x, rate, len(s), mixing=mixing)
    estimates = estimates[list(best_permutation(s, estimates))]
    figures = bss_eval(s, estimates)
    seconds = PANNED if mixing == "instantaneous" else REFINED if len(s) == 2 else DETERMINED
    masked = ideal_masks(s, STFT(window(seconds, rate)))
    decibels = pd.DataFrame({
        "sdr": list(map(sdr, s, estimates)), "isr": figures.isr, "sir": figures.sir, "sar": figures.sar,
        "ideal_masks": list(map(sdr, s, masked)),
    })  # fmt: skip
    l0, em = PUBLISHED.get(name, ((), ()))
    decibels["published_l0"], decibels["published_em"] = (l0, em) if len(l0) == len(s) else ("", "")
    facts = {"mixture": name, "seconds": round(x.shape[1] / rate, 1), "sample_rate": rate, "mixing": mixing}
    return [facts | {"source": j} | row for j, row in enumerate(decibels.round(2).to_dict("records"), start=1)]


def ideal_masks(images, stft):
    """Their sum (I, T) through the Wiener masks of the true powers, channel by channel: (J, I, T). An oracle."""
    S = stft(images)
    power = np.abs(S) ** 2
    masks = power / np.maximum(power.sum(0), np.finfo(float).tiny)
    return np.asarray(stft.inverse(masks * S.sum(0), images.shape[-1]))


def described(rows):
    """The rows of one mixture as lines, their mean last."""
    first = rows[0]
    taken = "panned" if first["mixing"] == "instantaneous" else "room"
    shown = pd.DataFrame(rows, columns=[key for key in TITLES if first[key] != ""]).rename(columns=TITLES)
    shown.index = [f"source {row['source']}" for row in rows]
    shown.loc["mean"] = shown.mean()
    head = f"{first['mixture']}: {first['seconds']} s at {first['sample_rate'] / 1e3:g} kHz, taken as {taken}; dB"
    return f"{head}\n{shown.round(1).to_string()}"


if __name__ == "__main__":
    sys.exit(main())
