"""The figure that computes in the page: the functions of compute.js beside nmflib, on the same numbers."""

import numpy as np
import pytest
from test_site import ROOT

from nmflib import STFT, nmf, wiener
from nmflib.course.grouping import group_oracle
from nmflib.course.scenes import sine_mixture
from nmflib.metrics import sdr
from nmflib.separate import group

CLOSE = 1e-6
N_ITER, SECONDS = 60, 2
CASES = [  # α, β, r, β of the divergence
    *((1, 2, r, beta) for r, beta in ((1, 1), (2, 0), (2, 1), (2, 2), (3, 0.5), (3, 1.5), (4, 1))),
    *((23, 31, 2, beta) for beta in (0, 1, 2)),
    (3, 3, 2, 1),
    (5.3, 0.7, 4, 2),
]
CHAIN = """([alpha, beta, r, divergence, seconds, W, H, iterations]) => {
  const truth = tones(alpha, beta, seconds), mixture = truth[0].map((value, i) => value + truth[1][i]);
  const X = stft(mixture), model = { W: Float64Array.from(W), H: Float64Array.from(H) };
  const { iterate, divergence: cost } = rules(X.modulus, r, divergence), before = cost(model);
  for (let done = 0; done < iterations; done += 1) iterate(model);
  const owner = owners(model, r, truth.map((x) => stft(x).modulus));
  const sources = shared(X, model, r, owner, mixture.length);
  const plain = (x) => Array.from(x);
  return { V: plain(X.modulus), W: plain(model.W), H: plain(model.H), cost: [before, cost(model)], owner,
           sources: sources.map(plain), mixture: plain(mixture), sdr: sources.map((x, j) => sdr(truth[j], x)) };
}"""


@pytest.fixture(scope="module")
def script(browser):
    """A page with the scripts of the site and no figure."""
    page = browser.new_page()
    for name in ("frames", "explore", "compute"):
        page.add_script_tag(path=ROOT / "tools" / "site" / "static" / f"{name}.js")
    yield page
    page.close()


@pytest.mark.parametrize(("alpha", "beta", "r", "divergence"), CASES)
def test_the_page_computes_what_the_library_computes(alpha, beta, r, divergence, script):
    stft, rng = STFT(512, hop=256), np.random.default_rng(7)
    truth, mixture = sine_mixture(alpha, beta, duration=SECONDS)
    X = stft(mixture)
    W0, H0 = 1 - rng.random((257, r)), 1 - rng.random((r, X.shape[1]))
    model = nmf(np.abs(X), r, beta=divergence, n_iter=N_ITER, init=(W0, H0))
    owner = group_oracle(model, np.abs(stft(truth)))
    sources = stft.inverse(wiener(X, group(model.components(), owner, 2)), len(mixture))

    asked = [alpha, beta, r, divergence, SECONDS, W0.ravel().tolist(), H0.ravel().tolist(), N_ITER]
    found = script.evaluate(CHAIN, asked)
    assert found["owner"] == owner.tolist()
    expected = {"V": np.abs(X), "W": model.W, "H": model.H, "cost": model.cost[[0, -1]], "sources": sources}
    for name, values in (expected | {"mixture": mixture}).items():
        difference = np.abs(np.ravel(found[name]) - np.ravel(values)).max()
        assert difference <= CLOSE * np.abs(values).max(), name
    assert np.allclose(found["sdr"], [sdr(s, e) for s, e in zip(truth, sources, strict=True)], rtol=0, atol=CLOSE)
    assert model.cost[-1] < 0.9 * model.cost[0]


def test_a_start_has_the_mean_of_the_data_and_seeds_differ(script):
    V = np.abs(STFT(512, hop=256)(sine_mixture()[1]))
    means = script.evaluate(
        """([V, r]) => [0, 1].map((seed) => {
          const { W, H } = start(Float64Array.from(V), r, seed);
          return [sum(product(W, H, r)), Math.min(...W), Math.max(...W), W[0], W[1]];
        })""",
        [V.ravel().tolist(), 3],
    )
    assert np.allclose([total for total, *_ in means], V.sum())
    assert all(0 < low < 0.1 and 0.9 < high <= 1 for _, low, high, *_ in means)
    assert abs(means[0][3] - means[1][3]) > 1e-3
