from pathlib import Path

import matplotlib
import pytest

matplotlib.use("agg")


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The module tools/run.py, at work in an empty directory."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    import run

    monkeypatch.setattr(run.pages, "ROOT", tmp_path)
    return run


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, as a list of (data, metadata)."""
    outputs = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata=None, raw=False: outputs.append((data, metadata or {}))
    )
    return outputs


@pytest.fixture
def publishing(monkeypatch, tmp_path):
    """The directory that notebooks publish in."""
    monkeypatch.setenv("NMFLIB_FIGURES", str(tmp_path))
    return tmp_path


@pytest.fixture
def not_publishing(monkeypatch):
    monkeypatch.delenv("NMFLIB_FIGURES", raising=False)
