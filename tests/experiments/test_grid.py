import contextlib
import csv
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from nmflib.experiments.grid import grid, run_grid

EXPERIMENTS = grid(scene=["room", "dummy head, left"], noise=[None, 0.25], seed=range(3), n_iter=7)
MEASURES = ["value", "label"]


def experiment(scene, noise, seed, n_iter):
    if seed == 1 and noise:
        raise ArithmeticError(f"no value for\n{scene}")
    return {"value": seed + n_iter / 3, "label": scene}


def test_a_grid_has_every_combination_and_the_last_name_varies_fastest():
    assert grid(a=[1, 2], b="xy", c=np.array([3, 4])) == [
        {"a": 1, "b": "xy", "c": 3}, {"a": 1, "b": "xy", "c": 4},
        {"a": 2, "b": "xy", "c": 3}, {"a": 2, "b": "xy", "c": 4},
    ]  # fmt: skip
    assert grid(a=[], b=1) == []


def test_the_table_has_a_row_per_run_and_a_failing_run_is_a_row_with_its_error(tmp_path):
    table = run_grid(experiment, EXPERIMENTS, tmp_path / "t.csv", measures=MEASURES)
    assert list(table) == ["scene", "noise", "seed", "n_iter", "value", "label", "error"]
    assert len(table) == len(EXPERIMENTS) == 12
    for (_, row), given in zip(table.iterrows(), EXPERIMENTS, strict=True):
        assert (row.scene, row.seed, row.n_iter) == (given["scene"], given["seed"], 7)
        assert row.noise == given["noise"] or (math.isnan(row.noise) and given["noise"] is None)
        if row.seed == 1 and given["noise"]:
            assert row.error == f"ArithmeticError: no value for {row.scene}"
            assert math.isnan(row.value)
        else:
            assert row.error == ""
            assert row.value == row.seed + 7 / 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_finished_runs_are_not_repeated(n_jobs, tmp_path):
    file = tmp_path / "t.csv"
    some = run_grid(experiment, EXPERIMENTS[3:8], file, measures=MEASURES, n_jobs=n_jobs)
    assert len(some) == 5
    lines = file.read_text().splitlines()
    table = run_grid(experiment, EXPERIMENTS, file, measures=MEASURES, n_jobs=n_jobs)
    assert file.read_text().splitlines()[:6] == lines
    assert len(file.read_text().splitlines()) == 13
    pd.testing.assert_frame_equal(table[3:8].reset_index(drop=True), some)

    def never(**given):
        raise AssertionError

    pd.testing.assert_frame_equal(run_grid(never, EXPERIMENTS, file, measures=MEASURES), table)


def test_a_file_cut_anywhere_is_completed_to_the_same_file(tmp_path):
    file, experiments = tmp_path / "t.csv", EXPERIMENTS[:5]
    whole = run_grid(experiment, experiments, file, measures=MEASURES)
    complete = file.read_bytes()
    assert len(complete) > 200
    for cut in range(len(complete)):
        file.write_bytes(complete[:cut])
        pd.testing.assert_frame_equal(run_grid(experiment, experiments, file, measures=MEASURES), whole)
        assert file.read_bytes() == complete


PROGRAM = """
import sys, time
from nmflib.experiments.grid import grid, run_grid

def slow(cell, seed):
    with open(sys.argv[2], "a") as log:
        log.write(f"{cell} {seed}\\n")
    time.sleep(0.08)
    if seed == 2:
        raise ValueError("two is not wanted")
    return {"value": cell + seed / 3}

if __name__ == "__main__":
    table = run_grid(slow, grid(cell=[1, 2, 3, 4, 5], seed=range(4)), sys.argv[1], measures=["value"], n_jobs=int(sys.argv[3]))
    print(len(table), table.value.sum().round(6))
"""  # noqa: E501


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_killed_in_the_middle_and_resumed_it_gives_the_table_of_an_uninterrupted_run(n_jobs, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    log = {name: tmp_path / f"{name}.log" for name in ("whole", "killed", "resumed")}
    file = {"whole": tmp_path / "whole.csv", "killed": tmp_path / "killed.csv"}

    def command(table, name):
        return [sys.executable, str(tmp_path / "program.py"), str(file[table]), str(log[name]), str(n_jobs)]

    whole = subprocess.run(command("whole", "whole"), check=True, capture_output=True, text=True)
    assert whole.stdout.split()[0] == "20"

    process = subprocess.Popen(command("killed", "killed"), start_new_session=True, stderr=subprocess.DEVNULL)
    while not (file["killed"].exists() and file["killed"].read_bytes().count(b"\n") >= 6):
        assert process.poll() is None
        time.sleep(0.01)
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() != 0
    with file["killed"].open("a") as torn:
        torn.write("4,3,5.0")
    rows = list(csv.reader(file["killed"].read_text().splitlines()))[1:-1]
    assert 5 <= len(rows) < 20

    resumed = subprocess.run(command("killed", "resumed"), check=True, capture_output=True, text=True)
    assert resumed.stdout == whole.stdout
    everything = set(log["whole"].read_text().splitlines())
    before, after = {f"{cell} {seed}" for cell, seed, *_ in rows}, log["resumed"].read_text().splitlines()
    assert sorted(after) == sorted(everything - before)
    tables = [pd.read_csv(f).sort_values(["cell", "seed"], ignore_index=True) for f in file.values()]
    pd.testing.assert_frame_equal(*tables)
    if n_jobs == 1:
        assert file["killed"].read_bytes() == file["whole"].read_bytes()


@pytest.fixture(scope="module")
def cluster():
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
    ):
        yield cluster


def worker(scene, noise, seed, n_iter):
    time.sleep(0.02)
    return experiment(scene, noise, seed, n_iter) | {"label": str(os.getpid())}


def test_on_a_dask_cluster_the_rows_are_the_same(cluster, tmp_path):
    here = run_grid(experiment, EXPERIMENTS, tmp_path / "here.csv", measures=MEASURES)
    run_grid(worker, EXPERIMENTS[:2], tmp_path / "there.csv", measures=MEASURES)
    there = run_grid(
        worker, EXPERIMENTS, tmp_path / "there.csv", measures=MEASURES, scheduler=cluster.scheduler_address
    )
    pd.testing.assert_frame_equal(here.drop(columns="label"), there.drop(columns="label"))
    pids = {int(pid) for pid in there.label.dropna()[2:]}
    assert len(pids) == 2
    assert os.getpid() not in pids


def deadly(seed):
    if seed == 1:
        os._exit(9)
    return {"value": seed}


def test_a_run_that_kills_its_worker_is_a_row_with_that_error(cluster, tmp_path):
    table = run_grid(
        deadly, grid(seed=range(3)), tmp_path / "t.csv", measures=["value"], scheduler=cluster.scheduler_address
    )
    assert list(table.value.dropna()) == [0, 2]
    assert table.error[1].startswith("KilledWorker")


@pytest.mark.parametrize(
    ("experiments", "measures", "message"),
    [
        ([], ["v"], "experiments is empty"),
        ([{"a": 1}, {"b": 1}], ["v"], "different names"),
        ([{"a": 1}, {"a": 1.5}, {"a": 1}], ["v"], r"\{'a': '1'\} is there twice"),
        ([{"a": 1}], ["a"], r"\['a'\] would be two columns"),
        ([{"error": 1}], ["v"], r"\['error'\] would be two columns"),
    ],
)
def test_what_cannot_be_a_table_is_refused(experiments, measures, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_grid(lambda **given: {}, experiments, tmp_path / "t.csv", measures=measures)
    assert not (tmp_path / "t.csv").exists()


def ten_times(a):
    return {"v": a * 10}


@pytest.mark.parametrize(
    "content",
    [
        b'{"important": [1, 2, 3]}',
        b"line one\nline two\nprecious",
        b"RIFF\x24\x00\x00\x00WAVE\x0afmt \x10\x00",
        b"a,w,error\n1,10,\n2,20,\n",
        b"a;v;error\r\n1;10;\r\n",
        b"a,v,error,note\n1,10,,mine\n",
        b"\n\n\n",
    ],
    ids=["JSON", "notes", "sound", "other measures", "semicolons", "a column more", "blank lines"],
)
def test_a_file_that_is_no_table_of_these_columns_is_refused_and_left_as_it_is(content, tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="does not begin with the columns a,v,error; it is left as it is"):
        run_grid(ten_times, grid(a=[1, 2]), file, measures=["v"])
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "runs"),
    [
        (b"a,v,error\n1,10,\n2,20,\n3,30,", []),
        (b"a,v,error\n1,10,\n2,20,", [3]),
        (b"a,v,error\n1,10,\n2,20", [2, 3]),
        (b'a,v,error\n1,10,\n2,,"ValueError: x,', [2, 3]),
        (b"\xef\xbb\xbfa,v,error\r\n1,10,\r\n2,20,\r\n3,30,\r\n", []),
        (b'"a","v","error"\n"3",30,""\n"1",10,""\n', [2]),
        (b"a,v,error\n4,40,\n\n3,30,\n \n1,10,\n", [2]),
        (b"a,v,error\n1,10,\n,,\n3,30\n", [2, 3]),
        (b"a,v,error\n1,10,\n2,,ValueError: out of mem", [2, 3]),
        (b"a,v,er", [1, 2, 3]),
        (b"", [1, 2, 3]),
    ],
)
def test_a_table_that_somebody_edited_is_completed_and_keeps_its_rows(content, runs, tmp_path):
    file, made = tmp_path / "t.csv", []
    file.write_bytes(content)
    for expected in (runs, []):
        table = run_grid(lambda a: made.append(a) or ten_times(a), grid(a=[1, 2, 3]), file, measures=["v"])
        assert (made, table.a.tolist(), table.v.tolist()) == (expected, [1, 2, 3], [10, 20, 30])
        assert list(table.error) == [""] * 3
        made.clear()
    assert file.read_bytes().startswith(content[: content.rfind(b"\n") + 1])


VALUES = [" two  spaces ", 'a, "b"', '"', "吉他", 12, -3, 0.1, 1e300, 1e-7, math.inf, True, False]


def test_values_come_back_as_they_were_given_from_the_run_and_from_the_file(tmp_path):
    file, experiments = tmp_path / "t.csv", grid(place=range(len(VALUES)), code=["007"])
    for _ in range(2):
        table = run_grid(lambda place, code: {"v": VALUES[place]}, experiments, file, measures=["v", "w"])
        assert [(value, type(value)) for value in table.v] == [(value, type(value)) for value in VALUES]
        assert list(table.code) == ["007"] * len(VALUES)
        assert table.w.isna().all()
    assert [row["v"] for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())] == list(map(str, VALUES))
    line_breaks = run_grid(lambda a: {"v": "one\r\ntwo\nthree"}, [{"a": 1}], tmp_path / "w.csv", measures=["v"])
    assert list(line_breaks.v) == ["one two three"]


def test_numbers_are_columns_of_numbers_where_some_are_missing(tmp_path):
    table = run_grid(lambda a: {"v": a} if a else {}, grid(a=[0, 1, 2]), tmp_path / "t.csv", measures=["v", "w"])
    assert [str(table[column].dtype) for column in ("a", "v", "w")] == ["int64", "float64", "float64"]


def test_a_measure_that_was_not_announced_is_an_error_of_its_run(tmp_path):
    table = run_grid(lambda seed: {"w": 1}, [{"seed": 0}], tmp_path / "t.csv", measures=["v"])
    assert table.error[0] == "ValueError: function returned ['w']; measures are ['v']"


def test_no_bar_is_shown_where_there_is_no_terminal(capfd, tmp_path):
    run_grid(experiment, EXPERIMENTS, tmp_path / "t.csv", measures=MEASURES)
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_is_shown_the_bar(tmp_path):
    import pty
    import termios

    (tmp_path / "program.py").write_text(PROGRAM)
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "u.csv"), str(tmp_path / "log"), "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=its)
    os.close(its)
    shown = ""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while chunk := os.read(mine, 1000):
            shown += chunk.decode(errors="replace")
    os.close(mine)
    assert "20/20" in shown
