import numpy as np
import pytest

from nmflib.experiments import mnmf_speech as study


def test_an_output_is_scored_against_the_voice_that_it_holds_most_of():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, 2, 20000))
    output = 0.1 * images[0] + 0.5 * images[1] + 0.05 * rng.standard_normal((2, 20000))
    row = study.scores(images, output)
    assert row["voice"] == 2
    assert row["sir"] == pytest.approx(20 * np.log10(5), abs=0.3)
    assert row["sar"] == pytest.approx(10 * np.log10(0.26 / 0.0025), abs=0.5)
    assert row["share"] == pytest.approx(25, abs=1)


def test_the_scenes_have_voices_of_equal_energy_and_panned_ones_are_equal_but_for_a_factor():
    images = study.scene("panned en_f+en_m+fr_f")
    assert images.shape == (3, 2, study.SECONDS * 16000)
    np.testing.assert_allclose((images**2).mean(axis=(1, 2)), 0.05**2, rtol=1e-5)
    np.testing.assert_allclose(images[:, 1] / np.tan(np.deg2rad([[20], [45], [70]])), images[:, 0], atol=1e-6)
