"""Multichannel NMF: agreement with published results, the theorems of EM and MU, invariances, robustness."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from nmflib import ilrma, nmf
from nmflib._arrays import CHUNK, chunks
from nmflib.blind import separate_blind
from nmflib.mnmf import MNMF, MNMFInit, initialise, mnmf_em, mnmf_mu
from nmflib.mnmf.posterior import e_step
from nmflib.separate import group
from nmflib.stft import STFT

GOLDENS = Path(__file__).parents[1] / "goldens"
CONVOLUTIVE = "ozerov_fevotte_conv_2src"
INSTANTANEOUS = "ozerov_fevotte_inst_2src"
LOOPS = "loops_conv_3ch_4src"
FIXED, ISOTROPIC, DIAGONAL = ({"noise": noise} for noise in ("fixed", "isotropic", "diagonal"))
ANNEAL = {"noise": "anneal", "final_noise": 3e-11}
EM_VARIANTS = [  # file, prefix of its arrays, options that reproduce them
    *[(file, "em_fixed", FIXED) for file in (CONVOLUTIVE, INSTANTANEOUS, LOOPS)],
    *[(file, "em_reestimated", ISOTROPIC) for file in (CONVOLUTIVE, INSTANTANEOUS)],
    *[(file, "em_anneal", ANNEAL) for file in (CONVOLUTIVE, INSTANTANEOUS)],
    (LOOPS, "em_isotropic", ISOTROPIC),
    (LOOPS, "em_diagonal", DIAGONAL),
]


def golden(file):
    with np.load(GOLDENS / f"{file}.npz") as stored:
        data = dict(stored)
    names = {
        "A": "A0",
        "Q": "Q0",
        "W": "W0",
        "H": "H0",
        "noise": "noise0",
        "source_of_component": "source_of_component",
    }
    init = MNMFInit(**{field: data[name] for field, name in names.items()})
    components = np.bincount(data["source_of_component"])
    return data, data["X"], len(components), components, init


def assert_agrees(model, X, data, prefix):
    """Every array the file holds under this prefix; at least the cost and the four factors."""
    compared = 0
    for name in data:
        if not name.startswith(prefix + "_"):
            continue
        field = name.removeprefix(prefix + "_")
        actual = {
            "nll": lambda: model.cost,
            "cost": lambda: model.cost,
            "sources": lambda: model.sources(X),
            "images": lambda: model.images(X),
            "residual_noise": lambda: model.residual(X),
        }.get(field, lambda field=field: getattr(model, field))()
        if field == "noise" and data[name].ndim == 1:  # one variance for all channels
            assert np.ptp(actual, axis=1).max() == 0
            actual = actual[:, 0]
        np.testing.assert_allclose(actual, data[name], rtol=1e-9, err_msg=name)
        compared += 1
    assert compared >= 4


@pytest.mark.parametrize(("file", "variant", "noise"), EM_VARIANTS)
def test_em_agrees_with_the_published_algorithm(file, variant, noise):
    data, X, n_sources, components, init = golden(file)
    mixing = "instantaneous" if data["A0"].ndim == 2 else "convolutive"
    n_iter = len(data[f"{variant}_nll"]) - 1
    options = {"mixing": mixing, "mixing_update": "paper", "n_iter": n_iter, "init": init, **noise}
    assert_agrees(mnmf_em(X, n_sources, components, **options), X, data, variant)


@pytest.mark.parametrize("file", [CONVOLUTIVE, INSTANTANEOUS, LOOPS])
def test_mu_agrees_with_the_published_algorithm(file):
    data, X, n_sources, components, init = golden(file)
    mixing = "instantaneous" if data["Q0"].ndim == 2 else "convolutive"
    model = mnmf_mu(X, n_sources, components, mixing=mixing, n_iter=len(data["mu_cost"]) - 1, init=init)
    assert_agrees(model, X, data, "mu")


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (2, 4), (3, 2), (4, 3)])
@pytest.mark.parametrize("mixing", ["convolutive", "instantaneous"])
def test_cost_of_em_is_the_exact_likelihood(scene, shape, mixing):
    """Against the density of the real and imaginary parts, which are jointly Gaussian of covariance Σ_x / 2."""
    n_channels, n_sources = shape
    X = scene(n_channels, 3, 4)
    model = mnmf_em(X, n_sources, 2, mixing=mixing, noise="fixed", n_iter=3)
    powers = model.W.reshape(3, n_sources, 2).transpose(1, 0, 2) @ model.H.reshape(n_sources, 2, 4)
    expected = 0.0
    for f in range(3):
        A = model.A[f] if mixing == "convolutive" else model.A
        for n in range(4):
            Sigma = A @ np.diag(powers[:, f, n]) @ A.conj().T + np.diag(model.noise[f])
            covariance = np.block([[Sigma.real, -Sigma.imag], [Sigma.imag, Sigma.real]]) / 2
            x = X[:, f, n]
            expected -= multivariate_normal(cov=covariance).logpdf(np.concatenate([x.real, x.imag]))
    assert model.cost[-1] == pytest.approx(expected, rel=1e-10)


def assert_never_increases(cost):
    assert (np.diff(cost) <= 1e-9 * np.abs(cost).max()).all(), np.diff(cost).max()


@pytest.mark.parametrize("noise", ["fixed", "isotropic", "diagonal"])
@pytest.mark.parametrize("mixing", ["convolutive", "instantaneous"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (2, 3), (3, 2), (3, 4)])
def test_em_never_increases_the_cost(scene, shape, mixing, noise):
    n_channels, n_sources = shape
    for seed in range(3):
        X = scene(n_channels, seed=seed)
        model = mnmf_em(X, n_sources, 2, mixing=mixing, noise=noise, n_iter=40, rng=seed)
        assert_never_increases(model.cost)
        assert model.cost[-1] < model.cost[0]


def test_instantaneous_update_of_the_paper_can_increase_the_cost(scene):
    """Near a maximum of the likelihood, where the M-step has little left to gain and (29) is seen not to be one."""
    rise = {"paper": -np.inf, "weighted": -np.inf}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((8, 2, 2)) + 1j * rng.standard_normal((8, 2, 2))
        S = np.stack([scene(1, 8, 30, seed=100 + seed)[0], scene(1, 8, 30, seed=seed)[0]])
        X = np.einsum("fij,jfn->ifn", A, S) * 10.0 ** rng.uniform(-2, 1, (8, 1))
        options = {"mixing": "instantaneous", "noise": "fixed"}
        near = mnmf_em(X, 2, 2, n_iter=200, rng=seed, **options)
        for how in rise:
            cost = mnmf_em(X, 2, 2, mixing_update=how, n_iter=5, init=near, **options).cost
            rise[how] = max(rise[how], np.diff(cost).max())
    assert rise["paper"] > 0.1
    assert rise["weighted"] < 0


@pytest.mark.parametrize("mixing", ["convolutive", "instantaneous"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (2, 3), (3, 2)])
def test_mu_never_increases_the_cost_in_the_order_of_the_paper(scene, shape, mixing):
    n_channels, n_sources = shape
    for seed in range(3):
        cost = mnmf_mu(scene(n_channels, seed=seed), n_sources, 2, mixing=mixing, n_iter=60, rng=seed).cost
        assert_never_increases(cost)
        assert cost[-1] < cost[0]


def test_mu_joint_order_reaches_nearly_the_same_cost(scene):
    X = scene(2, 20, 40)
    paper, joint = (mnmf_mu(X, 2, 3, order=order, n_iter=100).cost for order in ("paper", "joint"))
    assert joint[0] == paper[0]
    assert joint[-1] == pytest.approx(paper[-1], rel=0.05)
    assert joint[-1] != paper[-1]


def test_cost_of_mu_is_the_itakura_saito_divergence(scene):
    X = scene(3)
    model = mnmf_mu(X, 2, [2, 1], n_iter=4)
    P = np.stack([model.W[:, :2] @ model.H[:2], model.W[:, 2:] @ model.H[2:]])
    ratio = np.abs(X) ** 2 / np.einsum("fij,jfn->ifn", model.Q, P)
    assert model.cost[-1] == pytest.approx((ratio - np.log(ratio) - 1).sum(), rel=1e-12)


@pytest.mark.parametrize("order", ["paper", "joint"])
def test_mu_of_one_channel_and_one_source_is_nmf(scene, order):
    X = scene(1, 8, 20)
    init = MNMFInit(
        Q=np.ones((8, 1, 1)), W=initialise(X, 1, 3, method="random").W, H=initialise(X, 1, 3, method="random").H
    )
    model = mnmf_mu(X, 1, 3, order=order, n_iter=25, init=init)
    reference = nmf(np.abs(X[0]) ** 2, 3, beta=0, update="heuristic", n_iter=25, init=(init.W, init.H))
    np.testing.assert_allclose(model.cost, reference.cost, rtol=1e-9)
    np.testing.assert_allclose(model.W @ model.H, reference.W @ reference.H, rtol=1e-9)


ALGORITHMS = {  # name -> (function, options, mixing)
    "em fixed": (mnmf_em, {"noise": "fixed"}, "convolutive"),
    "em diagonal": (mnmf_em, {"noise": "diagonal"}, "convolutive"),
    "em anneal": (mnmf_em, {"noise": "anneal"}, "convolutive"),
    "em anneal instantaneous": (mnmf_em, {"noise": "anneal"}, "instantaneous"),
    "em isotropic instantaneous": (mnmf_em, {"noise": "isotropic"}, "instantaneous"),
    "mu paper": (mnmf_mu, {"order": "paper"}, "convolutive"),
    "mu joint instantaneous": (mnmf_mu, {"order": "joint"}, "instantaneous"),
}


class Fit:
    """An algorithm with its options, called as fit(X, n_sources, n_components, …)."""

    def __init__(self, name):
        self.name = name
        self.function, self.options, self.mixing = ALGORITHMS.get(name, (None, {}, "convolutive"))

    def __call__(self, X, n_sources, n_components, **options):
        if self.name == "ilrma":
            return ilrma(X, n_components, **options)
        return self.function(X, n_sources, n_components, mixing=self.mixing, **self.options, **options)


def each(*names):
    return pytest.mark.parametrize("fit", [Fit(name) for name in names], ids=names)


each_algorithm = each(*ALGORITHMS)
each_and_ilrma = each(*ALGORITHMS, "ilrma")


@each(*(name for name in ALGORITHMS if name != "mu paper"))
def test_permuting_the_sources_permutes_the_result(scene, fit):
    X, order = scene(2), [2, 0, 1]
    start = initialise(X, 3, 2, mixing=fit.mixing, method="random")
    components = np.concatenate([[2 * j, 2 * j + 1] for j in order])
    permuted = MNMFInit(
        A=start.A[..., order], Q=start.Q[..., order], W=start.W[:, components], H=start.H[components], noise=start.noise
    )
    model, moved = fit(X, 3, 2, n_iter=8, init=start), fit(X, 3, 2, n_iter=8, init=permuted)
    np.testing.assert_allclose(moved.cost, model.cost, rtol=1e-9)
    np.testing.assert_allclose(moved.images(X), model.images(X)[order], rtol=1e-7, atol=1e-12)


@each_algorithm
def test_components_may_come_in_any_order(scene, fit):
    X = scene(2)
    start = initialise(X, 2, [2, 1], mixing=fit.mixing, method="random")
    order = [2, 0, 1]
    shuffled = MNMFInit(
        A=start.A, Q=start.Q, W=start.W[:, order], H=start.H[order], noise=start.noise, source_of_component=[1, 0, 0]
    )
    model, moved = (fit(X, 2, [2, 1], n_iter=8, init=init) for init in (start, shuffled))
    np.testing.assert_allclose(moved.cost, model.cost, rtol=1e-9)
    np.testing.assert_allclose(moved.W, model.W[:, order], rtol=1e-7)
    np.testing.assert_allclose(moved.images(X), model.images(X), rtol=1e-7)


@each("em fixed", "em diagonal", "em anneal", "mu paper", "ilrma")
def test_rotating_the_phase_of_a_channel_in_a_bin_rotates_the_images(scene, fit):
    X = scene(2)
    turn = np.exp(1j * np.random.default_rng(5).uniform(0, 2 * np.pi, X.shape[:2]))[..., np.newaxis]
    start = initialise(X, 2, 2, method="random")
    turned = MNMFInit(A=start.A * turn[..., 0].T[..., np.newaxis], Q=start.Q, W=start.W, H=start.H, noise=start.noise)
    model, rotated = fit(X, 2, 2, n_iter=8, init=start), fit(X * turn, 2, 2, n_iter=8, init=turned)
    np.testing.assert_allclose(rotated.cost, model.cost, rtol=1e-9)
    np.testing.assert_allclose(rotated.W, model.W, rtol=1e-7)
    np.testing.assert_allclose(rotated.images(X * turn), model.images(X) * turn, rtol=1e-7, atol=1e-12)


@each_and_ilrma
@pytest.mark.parametrize("factor", [1e-100, 1e-8, 3.0, 1e8, 1e100])
def test_scaling_the_data_scales_the_model(scene, fit, factor):
    X = scene(2)
    model, scaled = fit(X, 2, 2, n_iter=10), fit(factor * X, 2, 2, n_iter=10)
    shift = 0 if "mu" in fit.name else 2 * X.size * np.log(factor)  # the others have likelihoods
    np.testing.assert_allclose(scaled.cost, model.cost + shift, rtol=1e-9)
    np.testing.assert_allclose(scaled.W, model.W, rtol=1e-8)
    np.testing.assert_allclose(scaled.H, model.H * factor**2, rtol=1e-8)
    np.testing.assert_allclose(scaled.images(factor * X), factor * model.images(X), rtol=1e-8)


@each_and_ilrma
def test_one_seed_one_result_and_inputs_stay_as_they_are(scene, fit):
    X = scene(2)
    X.setflags(write=False)
    one, same, other = (fit(X, 2, 2, n_iter=5, rng=rng) for rng in (3, np.random.default_rng(3), 4))
    assert np.array_equal(one.cost, same.cost)
    assert np.array_equal(one.W, same.W)
    assert not np.array_equal(one.W, other.W)
    start = initialise(X, 2, 2, mixing=fit.mixing, rng=3, method="random")
    for field in ("A", "Q", "W", "H", "noise", "source_of_component"):
        getattr(start, field).setflags(write=False)
    again = fit(X, 2, 2, n_iter=5, init=start)
    assert np.array_equal(again.cost, one.cost) or fit.name == "ilrma"  # which starts with another A


@each(*(name for name in ALGORITHMS if "anneal" not in name))  # annealing depends on n_iter
def test_a_run_can_be_cut_in_two_and_watched(scene, fit):
    X, seen = scene(2), []
    whole = fit(X, 2, 2, n_iter=6, callback=lambda t, model: seen.append((t, model)))
    half = fit(X, 2, 2, n_iter=3)
    rest = fit(X, 2, 2, n_iter=3, init=half)
    np.testing.assert_allclose(np.append(half.cost, rest.cost[1:]), whole.cost, rtol=1e-9)
    assert [t for t, _ in seen] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(seen[2][1].W, half.W, rtol=1e-12)
    assert np.array_equal(seen[2][1].cost, half.cost)


@pytest.mark.parametrize("noise", ["fixed", "isotropic", "diagonal", "anneal"])
@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 3), (3, 3)])
def test_what_the_images_of_em_leave_of_the_mixture_is_the_posterior_mean_of_the_noise(scene, shape, noise):
    """x − Σ_j a_j ŝ_j = Σ_b Σ_x⁻¹ x."""
    n_channels, n_sources = shape
    X = scene(n_channels, 8, 20)
    model = mnmf_em(X, n_sources, 2, noise=noise, n_iter=20)
    assert model.images(X).shape == (n_sources, *X.shape)
    P = group(model.components(), model.source_of_component, n_sources)
    Sigma_x = np.einsum("fij,jfn,fkj->fnik", model.A, P, model.A.conj())
    Sigma_x += (model.noise[:, :, np.newaxis] * np.eye(n_channels))[:, np.newaxis]
    y = np.linalg.solve(Sigma_x, X.transpose(1, 2, 0)[..., np.newaxis])[..., 0]
    left = model.residual(X)
    expected = model.noise.T[..., np.newaxis] * y.transpose(2, 0, 1)
    assert np.abs(left - expected).max() < 1e-4 * np.abs(left).max()  # `solve` loses digits with faint noise
    a_s = model.A.transpose(2, 1, 0)[..., np.newaxis] * model.sources(X)[:, np.newaxis]
    np.testing.assert_allclose(model.images(X), a_s)


def test_images_of_mu_sum_to_the_mixture_and_keep_its_phase(scene):
    X = scene(2)
    model = mnmf_mu(X, 3, 2, n_iter=10)
    np.testing.assert_allclose(model.images(X).sum(axis=0), X, rtol=1e-12)
    mask = model.images(X) / X
    assert np.abs(mask.imag).max() < 1e-12
    assert mask.real.min() >= 0
    with pytest.raises(ValueError, match="Q holds no phases"):
        model.sources(X)


@pytest.mark.parametrize("mixing", ["convolutive", "instantaneous"])
def test_results_are_normalised(scene, mixing):
    X = scene(2)
    em, mu = (fit(X, 2, 3, mixing=mixing, n_iter=4) for fit in (mnmf_em, mnmf_mu))
    np.testing.assert_allclose((np.abs(em.A) ** 2).sum(axis=-2), 1)
    np.testing.assert_allclose(mu.Q.sum(axis=-2), 1)
    np.testing.assert_allclose(np.abs(em.A[..., 0, :]), em.A[..., 0, :], atol=1e-15)
    for model in (em, mu):
        np.testing.assert_allclose(model.W.sum(axis=0), 1)
    assert np.iscomplexobj(em.A) == (mixing == "convolutive")


def test_injected_noise_is_random_but_repeatable(scene):
    X = scene(2)
    one, same, other = (
        mnmf_em(
            X, 2, 2, noise="anneal", inject_noise=True, n_iter=5, rng=rng, init=initialise(X, 2, 2, method="random")
        )
        for rng in (1, 1, 2)
    )
    assert np.array_equal(one.cost, same.cost)
    assert one.cost[1] != other.cost[1]


@each_and_ilrma
def test_single_precision_stays_single(scene, fit):
    X = scene(2)
    model, single = fit(X, 2, 2, n_iter=5), fit(X.astype(np.complex64), 2, 2, n_iter=5)
    for field in ("A", "Q", "W", "H", "noise", "demixing"):
        value = getattr(single, field, None)
        assert value is None or value.dtype in (np.float32, np.complex64)
    assert single.images(X.astype(np.complex64)).dtype == np.complex64
    np.testing.assert_allclose(single.cost, model.cost, rtol=1e-3)


@each_algorithm
@pytest.mark.filterwarnings("error")
def test_awkward_data_give_finite_results_without_warnings(fit, awkward):
    X = awkward
    for n_sources in (1, 2, 3):
        model = fit(X, n_sources, 2, n_iter=30)
        for field in ("A", "Q", "W", "H", "noise", "cost"):
            value = getattr(model, field)
            assert value is None or np.isfinite(value).all(), field
        images = model.images(X)
        assert np.isfinite(images).all()


@pytest.mark.parametrize("case", ["identical channels", "silent channel", "one click"])
@each("em diagonal", "em isotropic instantaneous")
def test_em_descends_also_where_the_noise_vanishes(awkward_scene, fit, case):
    """The likelihood has no upper bound on these data; the noise sinks to its floor."""
    cost = fit(awkward_scene(case)[:, :3, :6], 2, 2, n_iter=500).cost
    assert (np.diff(cost) <= 1e-6 * np.abs(cost).max()).all()


@pytest.mark.filterwarnings("error")
@each("em diagonal", "mu joint instantaneous")
def test_many_iterations_stay_finite(awkward_scene, fit):
    X = awkward_scene("silent frames")[:, :2, 1:7]
    model = fit(X, 2, 2, n_iter=10_000)
    assert np.isfinite(model.cost).all()
    assert np.isfinite(model.images(X)).all()
    assert model.cost[-1] <= model.cost.min() + 1e-6 * np.abs(model.cost).max()


def test_oracle_start_knows_the_sources(scene):
    """Images made by the rank-1 model: their directions come back, and EM from there separates better."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((10, 2, 2)) + 1j * rng.standard_normal((10, 2, 2))
    A /= np.linalg.norm(A, axis=1, keepdims=True) * np.exp(1j * np.angle(A[:, :1]))
    S = np.stack([scene(1, 10, 60, seed=seed)[0] for seed in (1, 2)])
    images = A.transpose(2, 1, 0)[..., np.newaxis] * S[:, np.newaxis]
    X = images.sum(axis=0)
    start = initialise(X, 2, 4, "oracle", images=images)
    np.testing.assert_allclose(start.A, A, atol=1e-7)
    np.testing.assert_allclose(start.Q, np.abs(A) ** 2, atol=1e-7)

    def error(init):
        estimate = mnmf_em(X, 2, 4, n_iter=30, init=init).images(X)
        return min(np.abs(estimate[order] - images).sum() for order in ([0, 1], [1, 0]))

    assert error(start) < 0.5 * error(initialise(X, 2, 4, method="random"))


def test_blind_start_knows_only_the_mixture(scene):
    """The default. Two sources that come and go at different times, mixed differently in every bin."""
    rng = np.random.default_rng(0)
    S = np.stack([scene(1, 33, 200, seed=seed)[0] for seed in (1, 2)])
    A = rng.standard_normal((33, 2, 2)) + 1j * rng.standard_normal((33, 2, 2))
    X = np.einsum("fij,jfn->ifn", A, S)
    start, again = initialise(X, 2, 3), initialise(X, 2, 3, "blind", rng=0)
    assert np.array_equal(start.A, again.A)
    assert np.array_equal(start.W, again.W)
    assert start.A.shape == start.Q.shape == (33, 2, 2)
    assert start.W.shape == (33, 6)
    np.testing.assert_allclose((np.abs(start.A) ** 2).sum(axis=1), 1)
    blind, random = (mnmf_em(X, 2, 3, n_iter=5, init=init).cost[-1] for init in (start, initialise(X, 2, 3, "random")))
    assert blind < random


def test_oracle_start_when_instantaneous(scene):
    A = np.array([[0.8, 0.6], [0.6, -0.8]])
    S = np.stack([scene(1, 10, 60, seed=seed)[0] for seed in (1, 2)])
    images = A.T[:, :, np.newaxis, np.newaxis] * S[:, np.newaxis]
    start = initialise(images.sum(axis=0), 2, 4, "oracle", images=images, mixing="instantaneous")
    np.testing.assert_allclose(start.A, A, atol=1e-12)
    assert mnmf_em(images.sum(axis=0), 2, 4, mixing="instantaneous", n_iter=2, init=start).A.shape == (2, 2)


def test_random_start_follows_the_recipe(scene):
    X = scene(2, 400, 30)
    start = initialise(X, 2, 3, method="random")
    power = (np.abs(X) ** 2).mean(axis=(0, 2))
    np.testing.assert_allclose(start.noise, power / 100)
    np.testing.assert_allclose(start.Q, np.abs(start.A) ** 2)
    assert np.abs(start.A).min() >= 0.05
    for factor in (start.H, start.W / power[:, np.newaxis], (np.abs(start.A) - 0.05) / 1.9 + 0.5):
        assert factor.min() >= 0.5  # (|z| + 1) / 2 with z normal
        assert factor.mean() == pytest.approx((np.sqrt(2 / np.pi) + 1) / 2, rel=0.05)


def changed(X, **fields):
    return replace(initialise(X, 2, 2, "random"), **fields)


@pytest.mark.parametrize("fit", [mnmf_em, mnmf_mu])
@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"^X has shape \(6, 15\); it must have 3", lambda fit, X: fit(X[0], 2, 2)),
        ("^n_sources is 0", lambda fit, X: fit(X, 0, 2)),
        ("^n_components is 0", lambda fit, X: fit(X, 2, [1, 0])),
        ("^n_components has 3 entries; it must be one number, or 2", lambda fit, X: fit(X, 2, [1, 2, 3])),
        ("^mixing is 'anechoic'", lambda fit, X: fit(X, 2, 2, mixing="anechoic")),
        ("^n_iter is -1", lambda fit, X: fit(X, 2, 2, n_iter=-1)),
        (r"^init.W has shape \(6, 4\); it must be \(6, 6\)", lambda fit, X: fit(X, 2, 3, init=changed(X))),
        ("^init.W has 24 negative", lambda fit, X: fit(X, 2, 2, init=changed(X, W=-np.ones((6, 4))))),
        ("^init.H has shape", lambda fit, X: fit(X, 2, 2, init=changed(X, H=np.ones((4, 14))))),
        ("^init.A has shape", lambda fit, X: fit(X, 2, 2, init=changed(X, A=np.ones((6, 1, 2))))),
        ("^init.A has shape", lambda fit, X: fit(X, 2, 2, init=changed(X, A=np.full((6, 2, 2), np.nan)))),
        ("^init.Q has shape", lambda fit, X: fit(X, 2, 2, init=changed(X, Q=np.ones((2, 2))))),
        ("^init.noise has shape", lambda fit, X: fit(X, 2, 2, init=changed(X, noise=np.ones(5)))),
        (
            "^init.source_of_component is",
            lambda fit, X: fit(X, 2, 2, init=changed(X, source_of_component=[0, 0, 0, 1])),
        ),
        ("^init has neither A nor Q", lambda fit, X: fit(X, 2, 2, init=changed(X, A=None, Q=None))),
        (r"^X has shape .* was fitted to \(2, 6, 15\)", lambda fit, X: fit(X, 2, 2, n_iter=1).images(X[:, 1:])),
    ],
)
def test_bad_input_is_named(scene, fit, message, call):
    with pytest.raises(ValueError, match=message):
        call(fit, scene(2))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("^noise is 'white'", lambda X: mnmf_em(X, 2, 2, noise="white")),
        ("^mixing_update is 'other'", lambda X: mnmf_em(X, 2, 2, mixing_update="other")),
        ("^inject_noise needs noise='anneal'", lambda X: mnmf_em(X, 2, 2, inject_noise=True, noise="fixed")),
        ("^final_noise is -1", lambda X: mnmf_em(X, 2, 2, noise="anneal", final_noise=-1)),
        ("^final_noise is 1e-06", lambda X: mnmf_em(X, 2, 2, noise="fixed", final_noise=1e-6)),
        (
            "^init.A is complex; instantaneous mixing is real",
            lambda X: mnmf_em(
                X, 2, 2, mixing="instantaneous", init=changed(X, A=np.full((2, 2), 1j), Q=np.ones((2, 2)))
            ),
        ),
        ("^order is 'reverse'", lambda X: mnmf_mu(X, 2, 2, order="reverse")),
        ("^method is 'guess'", lambda X: initialise(X, 2, 2, "guess")),
        ("^images is missing", lambda X: initialise(X, 2, 2, "oracle")),
        ("^images is given", lambda X: initialise(X, 2, 2, "random", images=np.stack([X, X]))),
        ("^images has shape", lambda X: initialise(X, 2, 2, "oracle", images=X)),
    ],
)
def test_bad_options_are_named(scene, message, call):
    with pytest.raises(ValueError, match=message):
        call(scene(2))


def test_an_init_needs_only_what_the_algorithm_uses(scene):
    X = scene(2)
    start = initialise(X, 2, 2, method="random")
    from_A = mnmf_mu(X, 2, 2, n_iter=3, init=MNMFInit(A=start.A, W=start.W, H=start.H))
    assert np.allclose(from_A.cost, mnmf_mu(X, 2, 2, n_iter=3, init=start).cost)
    from_Q = mnmf_em(X, 2, 2, n_iter=3, init=MNMFInit(Q=start.Q, W=start.W, H=start.H))
    real = MNMFInit(A=np.sqrt(start.Q), W=start.W, H=start.H, noise=start.noise)
    assert np.allclose(from_Q.cost, mnmf_em(X, 2, 2, n_iter=3, init=real).cost)
    assert isinstance(from_Q, MNMF)


def sines_without_noise(n_channels, seed=0):
    """Two gated sines with their clicks at the gates, mixed without any noise: most bins hold one direction alone."""
    rng = np.random.default_rng(seed)
    t = np.arange(6000)
    gates = np.stack([(t // 1500) % 2, 1 - (t // 2000) % 2])
    sources = np.sin(np.outer([0.13, 0.35], t)) * gates
    gains = np.array([[1, 0.5], [0.4, 1], [0.7, 0.7], [0.2, 0.9]])[:n_channels]
    return STFT(128)(gains * rng.choice([-1, 1], 2) @ sources)


NOISELESS = {
    "two microphones": lambda: sines_without_noise(2),
    "three microphones": lambda: sines_without_noise(3),
    "equal channels": lambda: np.stack([sines_without_noise(2)[0]] * 2),
    "two equal and one other": lambda: sines_without_noise(2)[[0, 0, 1]],
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mixing", ["convolutive", "instantaneous"])
@pytest.mark.parametrize("case", NOISELESS)
def test_em_of_mixtures_without_noise_descends_and_stays_within_the_recording(case, mixing):
    X = NOISELESS[case]()
    for noise, n_sources in itertools.product(["anneal", "fixed", "isotropic", "diagonal"], [2, 3]):
        model = mnmf_em(X, n_sources, 2, mixing=mixing, noise=noise, n_iter=60)
        images = model.images(X)
        assert np.abs(images).max() < 10 * np.abs(X).max(), noise
        if noise != "anneal":
            assert_never_increases(model.cost)


@settings(max_examples=100, deadline=None)
@given(
    n_channels=st.integers(1, 3),
    n_sources=st.integers(1, 4),
    angle=st.floats(-9, 0),
    noise=st.floats(-14, 0),
    seed=st.integers(0, 999),
)
@example(n_channels=3, n_sources=4, angle=-2.75, noise=-14.0, seed=150)  # two channels that cancel a little each
def test_expectation_has_all_digits_however_small_the_noise_and_alike_the_columns(
    n_channels, n_sources, angle, noise, seed
):
    """Against the formulas in fractions."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n_channels, 1)) + 10**angle * rng.standard_normal((n_channels, n_sources))
    p, sigma = 10 ** rng.uniform(-3, 1, n_sources), 10**noise * rng.uniform(1, 2, n_channels)
    x = A @ (np.sqrt(p) * rng.standard_normal(n_sources)) + np.sqrt(sigma)
    E = e_step(x[np.newaxis, :, np.newaxis] + 0j, A[np.newaxis] + 0j, p[:, np.newaxis, np.newaxis], sigma[np.newaxis])

    a, s, b, y = (np.vectorize(Fraction, otypes=[object])(v) for v in (A, np.diag(p), np.diag(sigma), x))
    inverse, determinant = inverse_in_fractions(a @ s @ a.T + b)
    gain = s @ a.T @ inverse
    R_ss = np.outer(gain @ y, gain @ y) + s - gain @ a @ s
    C1 = float(y @ inverse @ y) + math.log(determinant.numerator) - math.log(determinant.denominator)
    unit = np.sqrt(np.outer(p, p))
    assert E.C1 == pytest.approx(C1, rel=1e-6, abs=1e-4)
    np.testing.assert_allclose(E.R_ss[0] / unit, R_ss.astype(float) / unit, rtol=1e-6, atol=1e-7)
    assert np.linalg.eigvalsh(E.R_ss[0] / unit).min() > -1e-8


def inverse_in_fractions(S):
    """S⁻¹ and det S by Gauss–Jordan elimination of a positive matrix of fractions."""
    n, determinant = len(S), Fraction(1)
    rows = np.concatenate([S, np.vectorize(Fraction, otypes=[object])(np.eye(n))], axis=1)
    for k in range(n):
        determinant *= rows[k, k]
        rows[k] = rows[k] / rows[k, k]
        for i in set(range(n)) - {k}:
            rows[i] = rows[i] - rows[i, k] * rows[k]
    return rows[:, n:], determinant


def test_a_source_of_em_does_not_outgrow_the_recording_but_keeps_what_it_was_given():
    X = sines_without_noise(2)
    loudest = 4 * (np.abs(X) ** 2).sum(axis=0).max()
    model = mnmf_em(X, 2, 2, n_iter=100)
    assert (model.W.max(axis=0) * model.H.max(axis=1)).max() <= 2 * loudest  # the scale of A comes on top
    given = initialise(X, 2, 2, "random")
    loud = replace(given, H=1e6 * given.H)
    start = mnmf_em(X, 2, 2, noise="fixed", n_iter=0, init=loud)
    np.testing.assert_allclose(start.W @ start.H, loud.W @ loud.H)
    assert_never_increases(mnmf_em(X, 2, 2, noise="fixed", n_iter=30, init=loud).cost)


@pytest.mark.parametrize("order", ["paper", "joint"])
@pytest.mark.parametrize("silence", ["bin", "frame", "channel"])
def test_mu_learns_beside_silence_from_every_start(scene, silence, order):
    X = scene(2, 12, 30)
    {"bin": X[:, 0], "frame": X[:, :, 4], "channel": X[1]}[silence][...] = 0
    em = mnmf_em(X, 2, 2, noise="diagonal", n_iter=60)
    for init in (None, replace(em, Q=None), initialise(X, 2, 2, "blind")):
        cost = mnmf_mu(X, 2, 2, order=order, n_iter=60, init=init).cost
        assert cost[-1] < 10 * X.size and cost[-1] < cost[0]
        assert (np.diff(cost) < 0).sum() > 50


CORE = {
    "mnmf_em": lambda X: mnmf_em(X, 2, 2, n_iter=3),
    "mnmf_mu": lambda X: mnmf_mu(X, 2, 2, n_iter=3),
    "ilrma": lambda X: ilrma(X, 2, n_iter=3),
    "separate_blind": lambda X: separate_blind(X, 2),
    "initialise, random": lambda X: initialise(X, 2, 2, "random"),
    "initialise, blind": lambda X: initialise(X, 2, 2, "blind"),
    "initialise, oracle": lambda X: initialise(X, 2, 2, "oracle", images=np.stack([X, X])),
}


@pytest.mark.parametrize("axes", [(1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("name", CORE)
def test_another_order_of_the_axes_is_answered_at_once(name, axes):
    X = np.zeros((2, 257, 100), complex).transpose(axes)
    with pytest.raises(ValueError, match=r"X has shape .* look like another order than \(n_channels, n_freq, n_frames"):
        CORE[name](X)


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", [name for name in CORE if name != "separate_blind"])
def test_powers_that_cannot_be_represented_are_named(scene, name, kind):
    for level, message in ((1e-30, "underflow"), (1e30, "overflow")):
        X = (scene() * (level if kind == np.complex64 else level**5)).astype(kind)
        with pytest.raises(ValueError, match=f"X reaches .*{message}"):
            CORE[name](X)


def test_noise_stays_above_its_part_of_the_power_of_the_bin(scene):
    """Without noise, two sources explain two channels exactly: what (25) leaves is rounding."""
    X = scene(2)
    X[:, 3] = 0
    power = np.repeat((np.abs(X) ** 2).mean(axis=(0, 2))[:, np.newaxis], 2, axis=1)
    start, heard = replace(initialise(X, 2, 2, "random"), noise=np.zeros(6)), power[:, 0] > 0
    for noise, n_iter, least in (("fixed", 0, 1e-14), ("diagonal", 1, 1e-7), ("isotropic", 1, 1e-7)):
        found = mnmf_em(X, 2, 2, noise=noise, n_iter=n_iter, init=start).noise
        np.testing.assert_allclose(found[heard], least * power[heard], rtol=1e-9)
        assert (0 < found[3]).all() and (found[3] < 1e-20 * power.max()).all()


def test_the_schedule_of_the_noise_is_linear_in_its_standard_deviation(scene):
    """From the first of n_iter + 1 steps below the initial value to the final one, 1e-8 of the initial variance."""
    X, seen = scene(2), []
    start = initialise(X, 2, 2, "random")
    mnmf_em(
        X, 2, 2, noise="anneal", n_iter=9, init=start, callback=lambda t, model: seen.append(np.sqrt(model.noise[:, 0]))
    )
    first = np.sqrt(start.noise)
    np.testing.assert_allclose(seen, [first * ((9 - t) + (t + 1) * 1e-4) / 10 for t in range(1, 10)], rtol=1e-12)
    last = mnmf_em(X, 2, 2, noise="anneal", n_iter=9, init=start, final_noise=1e-5).noise
    np.testing.assert_allclose(last, 1e-5)


def test_a_start_far_too_loud_comes_down_in_silent_frames_too(scene):
    """One update there is a difference of two numbers that are equal but for rounding."""
    X = scene(2)
    X[:, :, 4] = 0
    start = initialise(X, 2, 1, "random")
    loud = replace(start, H=1e12 * start.H, noise=np.zeros(6))
    model = mnmf_em(X, 2, 1, noise="fixed", n_iter=60, init=loud)
    assert_never_increases(model.cost)
    assert (model.H > 0).all()


@pytest.mark.filterwarnings("error")
def test_single_precision_can_round_a_noise_to_zero(scene):
    X = (1e-14 * scene(2)).astype(np.complex64)
    X[:, 0] = 0
    model = mnmf_em(X, 2, 2, noise="fixed", n_iter=5)
    assert model.noise.min() == 0
    assert np.isfinite(model.images(X)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise", ["fixed", "diagonal"])
def test_a_start_louder_than_all_digits_stays_finite(scene, noise):
    """Σ_s − Σ_s Aᴴ Σ_x⁻¹ A Σ_s is rounding there, of either sign."""
    X = scene(1, seed=214)
    X[:, :, 14] = 0
    start = initialise(X, 1, 2, "random")
    loud = replace(start, H=1e20 * start.H, noise=np.zeros(6))
    model = mnmf_em(X, 1, 2, noise=noise, n_iter=60, init=loud)
    for value in (model.A, model.W, model.H, model.cost):
        assert np.isfinite(value).all()


def test_chunks_are_whole_bins_however_long_the_recording_is():
    assert chunks(3, 10**6) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert chunks(5, CHUNK // 2) == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_noise_annealed_to_nothing_stays_at_its_floor(scene):
    X = scene(2)
    model = mnmf_em(X, 2, 2, noise="anneal", final_noise=0.0, n_iter=5)
    power = (np.abs(X) ** 2).mean(axis=(0, 2))
    np.testing.assert_allclose(model.noise, np.repeat(1e-14 * power[:, np.newaxis], 2, axis=1))
    assert np.isfinite(model.cost).all() and np.isfinite(model.images(X)).all()
