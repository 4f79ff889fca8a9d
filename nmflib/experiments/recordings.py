"""`separate_recording` on the simulated rooms of `blind_start`, at three sample rates.

    OPENBLAS_NUM_THREADS=1 nice .venv/bin/python -m nmflib.experiments.recordings [half,n_sources,rate ...]

writes recordings.csv in data/results, one row per scene and rate. An interrupted run resumes where it stopped. At
44.1 and 48 kHz the rooms are those at 16 kHz, resampled.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from nmflib import separate_recording
from nmflib.course.scenes import data_folder
from nmflib.experiments.blind_start import RATE, scenes, sdr
from nmflib.experiments.grid import run_grid

TABLE = data_folder() / "results" / "recordings.csv"
KEYS = ["scene", "half", "n_sources", "rt60", "spacing", "clips"]
ONE_IN = {16000: 1, 44100: 6, 48000: 6}  # scenes of which one is measured at this rate


def measure(scene: str, half: str, n_sources: int, rate: int, **_: Any) -> dict[str, float]:
    """The measures of one row. `thirds`: SDR of the mixture / n_sources, which knows nothing; `seconds`: CPU time."""
    images = next(s["images"] for s in scenes(half, n_sources) if s["scene"] == scene)
    if rate != RATE:
        images = resample_poly(images, rate // 100, RATE // 100, axis=-1)
    x = images.sum(0)
    started = time.process_time()
    values = sdr(images, separate_recording(x, rate, n_sources))
    seconds = time.process_time() - started
    nothing = sdr(images, np.repeat(x[None] / n_sources, n_sources, axis=0)).mean()
    return dict(
        sdr=round(float(values.mean()), 2),
        worst_source=round(float(values.min()), 2),
        thirds=round(float(nothing), 2),
        seconds=round(seconds, 1),
    )


def main(half: str, n_sources: int, rate: int) -> None:
    """Measure what is missing of one half; then mean and median."""
    runs = [{key: scene[key] for key in KEYS} | {"rate": rate} for scene in scenes(half, n_sources)[:: ONE_IN[rate]]]
    table = run_grid(measure, runs, TABLE, measures=["sdr", "worst_source", "thirds", "seconds"])
    print(half, n_sources, rate)
    print(table["sdr"].agg(["count", "mean", "median", "min"]).round(2).to_string())
    print(table.groupby("rt60")["sdr"].median().round(2).to_string())


if __name__ == "__main__":
    wanted = sys.argv[1:] or [f"{h},{n},{r}" for n in (2, 3) for h in ("unseen", "tuning") for r in ONE_IN]
    for half, n_sources, rate in (w.split(",") for w in wanted):
        main(half, int(n_sources), int(rate))
