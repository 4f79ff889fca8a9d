"""The programs of chapters 12 and 14, and what the chapters say of their tables."""

import numpy as np
import pandas as pd
import pytest

from nmflib.experiments import beyond, recordings, tables, two_microphones, two_microphones_clips


def test_the_window_of_a_method_is_the_one_of_the_highest_mean_over_the_tuning_rooms(monkeypatch):
    keys = ("stage", "scene", "method", "start", "n_fft", "sdr")
    runs = [("windows", "a", "EM", "own", 1024, 9.0), ("windows", "b", "EM", "own", 1024, 0.0)]
    runs += [("windows", s, "EM", "own", n, v) for s in "ab" for n, v in ((2048, 5.0), (4096, 4.0))]
    runs += [("unseen", "c", "EM", "own", 4096, 99.0)]
    runs += [("windows", "a", "MU", "IVA", n, v) for n, v in ((1024, 1.0), (2048, 2.0), (4096, 3.0))]
    monkeypatch.setattr(tables, "read", lambda name: [dict(zip(keys, run, strict=True)) for run in runs])
    best = beyond.best_windows()
    assert (best["EM", "own"], best["MU", "IVA"]) == (2048, 4096)


def test_no_room_of_the_trial_was_used_in_choosing_windows():
    assert not set(beyond.TUNING) & set(beyond.UNSEEN)
    rooms = recordings.scenes("unseen", 2)
    for key, values in (("rt60", (0.13, 0.25, 0.4)), ("spacing", (0.05, 0.2, 1.0))):
        assert sorted(rooms[name][key] for name in beyond.UNSEEN) == sorted(3 * values)


def test_fast_mnmf2_begins_with_the_demixing_of_the_start(monkeypatch):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 2, 2)) + 1j * rng.standard_normal((5, 2, 2))
    S = rng.standard_normal((2, 5, 30)) + 1j * rng.standard_normal((2, 5, 30))
    images, given = np.einsum("fij,jfn->jifn", A, S), []

    def fastmnmf2(Z, **options):
        given.append(options)
        return np.zeros((2, *Z.shape))

    monkeypatch.setattr(beyond.bss, "fastmnmf2", fastmnmf2)
    beyond.fit("FastMNMF2", images.sum(axis=0), 30, 0, images)
    beyond.fit("FastMNMF2", images.sum(axis=0), 30, 0, None)
    with_start, alone = given
    product = np.abs(with_start["W0"] @ A)
    np.testing.assert_allclose(product, product * np.eye(2), atol=1e-9)
    assert product.diagonal(axis1=1, axis2=2).min() > 0.1
    assert alone["W0"] is None and with_start["n_iter"] == alone["n_iter"] == 30


@pytest.mark.parametrize("method", ["EM", "MU", "ILRMA"])
def test_a_run_begins_with_the_images_of_its_start_and_counts_their_seconds(method, monkeypatch):
    truth = np.random.default_rng(0).standard_normal((2, 2, 8000)) * [[[1], [0.3]], [[0.2], [1]]]
    monkeypatch.setattr(beyond, "images", lambda scene: truth)
    monkeypatch.setattr(beyond, "start_images", lambda scene, n_fft, seed: (beyond.STFT(n_fft)(truth), 1000.0))
    known = beyond.measure("x", method, "IVA", 1024, 1, 0)
    chance = beyond.measure("x", method, "own", 1024, 1, 0)
    assert chance["seconds"] < 1000 <= known["seconds"]
    assert beyond.measure("x", "nothing", "own", 0, 0, 0) == {"sdr": pytest.approx(0, abs=6), "seconds": 0.0}
    if method != "MU":  # noise of one colour: levels between the channels are all that differs
        assert known["sdr"] > chance["sdr"]


def test_a_response_is_cut_where_it_is_said_after_its_first_peak():
    h = np.zeros((2, 2, 4000))
    h[..., 100] = 1.0
    h[..., 110:] = 0.1
    early = two_microphones.without(h, 0.005, 0.02)
    assert (
        not early[..., 180:420].any() and (early[..., 420:] == 0.1).all() and (early[..., :180] == h[..., :180]).all()
    )
    late = two_microphones.without(h, 0.02, None)
    assert not late[..., 420:].any() and (late[..., :420] == h[..., :420]).all()


def test_excerpts_go_from_the_beginning_of_a_scene_to_its_end():
    whole = two_microphones_clips.images("dummy head, talkers")
    first, last = (two_microphones_clips.excerpt("dummy head, talkers", 2, k) for k in (0, 4))
    np.testing.assert_array_equal(first, whole[..., :32000])
    np.testing.assert_array_equal(last, whole[..., -32000:])


def test_swapping_two_bins_swaps_their_share_of_the_energy():
    stft = two_microphones_clips.STFT(1024)
    S = stft(two_microphones_clips.images("dummy head, talkers"))
    Y, n = S.copy(), two_microphones_clips.images("dummy head, talkers").shape[-1]
    Y[:, :, 40:60] = S[::-1, :, 40:60]
    energy = (np.abs(S.sum(axis=0)) ** 2).sum(axis=(0, 2))
    share = two_microphones_clips.swapped(stft.inverse(S, n), stft.inverse(Y, n), stft)
    assert share == pytest.approx(energy[40:60].sum() / energy.sum(), rel=0.1)


# ------------------------------------------------------------------ what chapter 12 says of its tables


def test_cutting_the_echoes_after_20_ms_helps_and_cutting_those_before_does_not():
    table = pd.read_csv(tables.path("two_microphones"), keep_default_na=False)
    cut = table[(table.spacing == 0.2) & (table.rt60 > 0)]
    for _, rows in cut.groupby("method"):
        median = rows.groupby("missing").sdr.median()
        assert abs(median["5 to 20 ms"] - median[""]) < 2.5 < 10 < median["after 20 ms"] - median[""]
        assert rows[rows.missing == "after 20 ms"].sdr.min() > 18


def test_how_much_sound_is_needed_depends_on_window_and_room():
    table = pd.read_csv(tables.path("two_microphones_clips"))
    median = table.groupby(["scene", "n_fft", "seconds"]).sdr.median()
    assert median["dummy head, talkers", 2048, 2] > median["dummy head, talkers", 4096, 2] + 5
    assert median["room 0.13 s, talkers", 4096, 3] > median["room 0.13 s, talkers", 1024, 6] + 5
    assert table[(table.seconds == 2) & table.scene.str.endswith("talkers")].sdr.min() > 10
    assert median["room 0.25 s, music", 4096, 6] > 12 > 5 > median["room 0.25 s, music", 1024, 6]
    assert median["room 0.25 s, music", 4096, 3] < 5


# ------------------------------------------------------------------ what chapter 14 says of its table


@pytest.fixture(scope="module")
def trial():
    """SDR in dB of the unseen rooms by method and start: a row for each room and seed."""
    table = pd.read_csv(tables.path("beyond"))
    rows = table[table.stage == "unseen"]
    return rows.pivot_table(index=["scene", "seed"], columns=["method", "start"], values="sdr")


def test_random_starts_gain_nothing_in_unseen_rooms_and_the_start_gains_most_of_what_is_gained(trial):
    rooms = trial.groupby("scene").median()
    nothing = rooms["nothing", "own"]
    for method in ("EM", "MU"):
        assert (rooms[method, "own"] - nothing).median() < 0
    start = (rooms["start alone", "IVA"] - nothing).median()
    assert start > (rooms["ILRMA", "own"] - nothing).median() + 5 > 5
    assert start > (rooms["FastMNMF2", "own"] - nothing).median() + 2
    assert abs((rooms["EM", "IVA"] - nothing).median() - start) < 1


def test_full_rank_adds_to_its_start_and_em_can_take_eleven_decibels(trial):
    change = trial.sub(trial["start alone", "IVA"], axis=0).groupby("scene").median()
    assert change["full rank", "IVA"].median() > 2 and change["full rank", "IVA"].min() > -2
    assert round(change["EM", "IVA"].min()) == -11 and abs(change["EM", "IVA"].median()) < 1
    assert change["MU", "IVA"].median() < -3


def test_the_start_hardly_depends_on_its_seed_and_ilrma_from_its_own_does(trial):
    spread = trial.groupby("scene").agg(np.ptp)
    assert spread["start alone", "IVA"].max() < 3 and spread["start alone", "IVA"].median() < 0.5
    assert spread["ILRMA", "own"].median() > 4


def test_every_method_that_draws_has_five_seeds_in_every_unseen_room(trial):
    count = trial.groupby("scene").count()
    assert list(count.index) == beyond.UNSEEN
    for method in count:
        assert (count[method] == (1 if method[0] in ("nothing", "AuxIVA") else 5)).all(), method


def test_fast_mnmf2_has_the_iterations_of_the_highest_mean_over_tuning_rooms():
    table = pd.read_csv(tables.path("beyond"))
    tried = table[table.stage == "iterations"]
    assert set(tried.scene) == set(beyond.TUNING[:3])
    best = tried.groupby(["start", "n_iter"]).sdr.mean().unstack().idxmax(axis=1)
    rows = table[table.stage.isin(["windows", "unseen", "others"]) & (table.method == "FastMNMF2")]
    assert (rows.n_iter == rows.start.map(best)).all()


def test_twice_the_iterations_change_no_method_by_a_decibel():
    table = pd.read_csv(tables.path("beyond")).set_index(["scene", "method", "start", "n_fft"])
    once, twice = (table[table.stage == stage] for stage in ("windows", "longer"))
    change = (twice.sdr - once.sdr).dropna()
    assert len(change) == len(twice) == 14
    assert (twice.n_iter == 2 * once.n_iter[twice.index]).all()
    assert change.abs().max() < 1
