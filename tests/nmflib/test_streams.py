"""Frozen results of the iterative algorithms, for changes of their code that are to change no number."""

from pathlib import Path

import numpy as np
import pytest

from nmflib import ilrma, mnmf_em, mnmf_mu, nmf

STREAMS = Path(__file__).parents[1] / "goldens" / "streams.npz"


def data():
    """V (10, 14), its spectra to keep (10, 2), and X (2, 6, 12), exact in every number format."""
    rng = np.random.default_rng(0)
    V = rng.integers(1, 64, (10, 14)) / 16
    X = (rng.integers(-64, 64, (2, 6, 12)) + 1j * rng.integers(-64, 64, (2, 6, 12))) / 16
    return V, rng.integers(1, 32, (10, 2)) / 16, X


V, SPECTRA, X = data()
RUNS = {
    "nmf IS accelerated": lambda: nmf(V, 3, beta=0, n_iter=40, accelerate=True),
    "nmf KL": lambda: nmf(V, 3, n_iter=15),
    "nmf 0.5 with a dictionary, accelerated": lambda: nmf(
        V, 4, beta=0.5, n_iter=30, dictionary=SPECTRA, accelerate=True
    ),
    "nmf 2 with a dictionary": lambda: nmf(V, 4, beta=2, n_iter=15, dictionary=SPECTRA),
    "nmf 3 accelerated, to a tolerance": lambda: nmf(V, 3, beta=3, n_iter=90, accelerate=True, tol=1e-3),
    "nmf 1.3 heuristic": lambda: nmf(V, 3, beta=1.3, n_iter=15, update="heuristic"),
    "nmf gradient": lambda: nmf(V, 3, beta=2, n_iter=8, update="gradient"),
    "em anneal": lambda: mnmf_em(X, 3, 2, noise="anneal", n_iter=12),
    "em instantaneous weighted": lambda: mnmf_em(X, 2, 2, mixing="instantaneous", noise="diagonal", n_iter=8),
    "em injected": lambda: mnmf_em(X, 2, 2, noise="anneal", inject_noise=True, n_iter=6),
    "mu joint": lambda: mnmf_mu(X, 3, 2, order="joint", n_iter=12),
    "mu instantaneous": lambda: mnmf_mu(X, 2, [2, 1], mixing="instantaneous", n_iter=12),
    "ilrma": lambda: ilrma(X, 2, n_iter=12),
}
FIELDS = ("W", "H", "A", "Q", "noise", "demixing", "cost")


def arrays(name):
    """What the run `name` gives, by field."""
    model = RUNS[name]()
    return {field: getattr(model, field) for field in FIELDS if getattr(model, field, None) is not None}


def write_streams():
    """Freeze the results of today: `python -c "import test_streams; test_streams.write_streams()"`, in this folder.

    Only after a change that is meant to change results; no test calls it.
    """
    found = {f"{name}/{field}": array for name in RUNS for field, array in arrays(name).items()}
    np.savez_compressed(STREAMS, **found)


@pytest.mark.parametrize("name", RUNS)
def test_results_are_those_that_were_frozen(name):
    found = arrays(name)
    with np.load(STREAMS) as frozen:
        assert {key for key in frozen if key.startswith(f"{name}/")} == {f"{name}/{field}" for field in found}
        for field, array in found.items():
            expected = frozen[f"{name}/{field}"]
            np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max(), err_msg=field)
