"""Running a sweep: resumed, in processes, on a cluster, by the command."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from robust_lib import __main__ as cli
from robust_lib import data
from robust_lib.sweeps import executors, plans, trials
from robust_lib.sweeps.plans import SWEEPS, read
from tests.sweeps.test_trials import few, numbers


def stand_in(company, device):
    """In place of `attempt`, where a test is about what happens around it."""
    return [answer(trial, device) for trial in company]


def answer(trial, device):
    if trial.seed == 99:
        return {"key": trial.key, "status": "failed", "error": "ValueError: no", "seconds": 0.0}
    return {"key": trial.key, "status": "done", "seconds": 0.1, "f1": trial.seed / 10, "device": device}


def always(**more):
    """A stand-in whose answers all say this."""
    return lambda company, device: [answer(trial, device) | more for trial in company]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.jsonl"


def recorded(path):
    return {record["key"]: record for record in read(path.stem, folder=path.parent)}


def keys(path):
    return [json.loads(text)["key"] for text in path.read_text().splitlines()]


def test_a_sweep_resumes_where_it_stopped(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed, said = [few(seed=seed) for seed in range(5)], []
    assert executors.run_sweep(listed, path, limit=2, report=said.append) == {
        "done": 2,
        "failed": 0,
        "left out": 0,
    }
    assert executors.run_sweep(listed, path, report=said.append)["done"] == 3
    assert executors.run_sweep(listed, path, report=said.append)["done"] == 0
    assert keys(path) == [trial.key for trial in listed]
    assert said[0].endswith("0 of 5 trials recorded, 5 to run")
    line_of_first = " ".join(said[1].split())
    assert line_of_first == "1/2 0.1 s mnist uniform 0.3 ce() mean_loss seed 0 f1 0.000 left 00:00"
    assert said[3].endswith("2 of 5 trials recorded, 3 to run")
    assert said[-1].endswith("5 of 5 trials recorded, 0 to run")


def test_failed_trials_are_recorded_and_run_again_only_on_request(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed, said = [few(seed=1), few(seed=99), few(seed=2)], []
    assert executors.run_sweep(listed, path, report=said.append) == {"done": 2, "failed": 1, "left out": 0}
    assert "FAILED ValueError: no" in said[2]
    assert executors.run_sweep(listed, path, report=said.append)["failed"] == 0
    monkeypatch.setattr(executors, "attempt", always(status="done", f1=1.0))
    assert executors.run_sweep(listed, path, report=said.append, retry_failed=True)["done"] == 1
    assert [r["status"] for r in recorded(path).values()] == ["done"] * 3


def test_a_device_that_is_not_here_costs_no_trial(path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device must be auto or cpu where torch finds no CUDA device"):
        executors.run_sweep([few(seed=1)], path, device="cuda")
    assert not path.exists()


def test_workers_of_others_live_on(monkeypatch):
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=time.sleep, args=(60,))
    other.start()
    with contextlib.suppress(KeyboardInterrupt), executors.executor("processes:1") as (pool, _):
        mine = pool.submit(time.sleep, 60)
        while not mine.running():
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert other.is_alive()
    other.terminate()
    other.join()


def test_ctrl_c_keeps_what_has_finished_and_frees_the_file(path, monkeypatch):
    def interrupted(company, device):
        if company[0].seed == 2:
            raise KeyboardInterrupt
        return stand_in(company, device)

    monkeypatch.setattr(executors, "attempt", interrupted)
    listed = [few(seed=seed) for seed in range(4)]
    with pytest.raises(KeyboardInterrupt):
        executors.run_sweep(listed, path, report=str)
    assert keys(path) == [trial.key for trial in listed[:2]]
    monkeypatch.setattr(executors, "attempt", stand_in)
    assert executors.run_sweep(listed, path, report=str)["done"] == 2


class Answering(Executor):
    """An executor whose futures fail by its own fault."""

    def __init__(self, error):
        self.error = error

    def submit(self, function, company, device):
        future = Future()
        if company[0].seed == 1:
            future.set_exception(self.error)
        else:
            future.set_result(stand_in(company, device))
        return future


def test_a_dead_worker_stops_the_sweep_with_what_to_do(path, monkeypatch):
    monkeypatch.setattr(executors, "InProcess", lambda: Answering(BrokenProcessPool("died")))
    with pytest.raises(RuntimeError, match="a worker process died .* the same command goes on"):
        executors.run_sweep([few(seed=seed) for seed in range(3)], path, report=str)
    assert keys(path) == [few(seed=0).key]


def test_a_task_that_its_cluster_gives_up_is_recorded_as_failed(path, monkeypatch):
    monkeypatch.setattr(executors, "InProcess", lambda: Answering(OSError("four workers died")))
    counts = executors.run_sweep([few(seed=seed) for seed in range(3)], path, report=str)
    assert counts == {"done": 2, "failed": 1, "left out": 0}
    assert recorded(path)[few(seed=1).key]["error"] == "OSError: four workers died"


def test_an_error_that_spoils_the_gpu_stops_the_sweep_once(path, monkeypatch):
    def broken(company, device="auto"):
        if company[0].seed == 1:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return stand_in(company, device)

    monkeypatch.setattr(trials, "run_together", broken)
    listed = [few(seed=seed) for seed in range(3)]
    with pytest.raises(RuntimeError, match="a GPU error has spoiled the process .* with the other trials"):
        executors.run_sweep(listed, path, report=str)
    assert [r["status"] for r in recorded(path).values()] == ["done", "failed"]
    assert executors.run_sweep(listed, path, report=str)["done"] == 1  # the third, not the culprit again


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
        "q must be",
    ],
)
def test_other_errors_are_the_trials_own(text, monkeypatch):
    def broken(company, device):
        raise RuntimeError(text)

    monkeypatch.setattr(trials, "run_together", broken)
    assert trials.attempt([few()])[0]["status"] == "failed"


def test_a_finished_sweep_asks_for_no_data(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed = [few(seed=seed) for seed in range(2)]
    executors.run_sweep(listed, path, report=str)

    def gone(*arguments):
        raise AssertionError("data were asked for")

    monkeypatch.setattr(executors, "_refused", gone)
    assert executors.run_sweep(listed, path, report=str) == {"done": 0, "failed": 0, "left out": 0}


def test_data_for_a_cluster_are_not_looked_for_here(path, monkeypatch):
    @contextmanager
    def cluster(where):
        yield executors.InProcess(), None

    monkeypatch.setattr(executors, "attempt", stand_in)
    monkeypatch.setattr(executors, "executor", cluster)
    monkeypatch.setattr(executors, "_refused", lambda *arguments: "not here")
    assert executors.run_sweep([few()], path, "dask:tcp://a", report=str)["done"] == 1
    assert executors.run_sweep([few(seed=1)], path, "local", report=str)["left out"] == 1


def test_trials_that_lack_something_are_left_out_and_counted(path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)

    def absent(name, split="train", size="mini"):
        if size == "full":
            raise data.DataError(f"{name} cannot be had")

    monkeypatch.setattr(data, "load", absent)
    executors._refused.cache_clear()
    listed, said = [few(), few(network="vgg"), few(size="full"), few(size="full", seed=1)], []
    assert executors.run_sweep(listed, path, report=said.append) == {"done": 1, "failed": 0, "left out": 3}
    assert said[:2] == ["left out, no network vgg: 1 trials", "left out, mnist cannot be had: 2 trials"]
    executors._refused.cache_clear()


def test_what_another_sweep_recorded_is_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    make = lambda seeds, scale: [few(seed=seed) for seed in range(seeds)]  # noqa: E731
    monkeypatch.setitem(SWEEPS, "one", plans.Sweep("one", "", {"small": 3}, make))
    monkeypatch.setitem(SWEEPS, "two", plans.Sweep("two", "", {"small": 4}, make))
    options = {"folder": tmp_path, "report": str}
    assert executors.run_named("one", "small", **options)["done"] == 3
    monkeypatch.setattr(executors, "attempt", always(f1=-1.0))
    assert executors.run_named("two", "small", **options)["done"] == 1
    assert [r["f1"] for r in read("two", "small", tmp_path)] == [0.0, 0.1, 0.2, -1.0]
    assert executors.run_named("two", "small", seeds=2, network="hs_mnist", **options)["done"] == 2
    monkeypatch.setattr(executors, "SWEEPS", {"two": SWEEPS["two"]})
    assert executors.run_named("two", "small", **options)["done"] == 0


def test_executors_are_named():
    for wrong in ("threads", "processes:0", "processes:many", "dask:", "local:2"):
        with (
            pytest.raises(ValueError, match='executor must be "local", "processes"'),
            executors.executor(wrong),
        ):
            pass


def test_cards_follow_cuda_visible_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert executors._cards() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert executors._cards() == []


# --- real processes -----------------------------------------------------------------------------------

DRIVER = """
import json, sys
from multiprocessing import active_children
from pathlib import Path
from robust_lib.sweeps import executors
from robust_lib.sweeps import Trial

def report(text):
    print(json.dumps([child.pid for child in active_children()]), text, flush=True)
    if "1/3" in text:
        sys.stdin.read()  # until the kill, which so comes in time on any machine

if __name__ == "__main__":
    listed = [Trial(**told) for told in json.loads(sys.argv[1])]
    executors.run_sweep(listed, Path(sys.argv[2]), sys.argv[3], device="cpu", report=report)
"""


def alive(pid):
    """Whether the process runs; a zombie, which waits for init to notice it, does not."""
    try:
        os.kill(pid, 0)
        return subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout[
            :1
        ] not in ("", "Z")
    except ProcessLookupError:
        return False


def start_driver(tmp_path, listed, path, where):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    told = json.dumps([{f.name: getattr(t, f.name) for f in dataclasses.fields(t)} for t in listed])
    here = str(Path(executors.__file__).parents[2])
    search = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": search, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), told, str(path), where]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def test_kill_9_then_resume_equals_an_uninterrupted_run(tmp_path):
    """A real sweep in worker processes, killed after its first record: nothing recorded is lost, the workers
    end, and the resumed file has the same keys and numbers as one that was never interrupted."""
    path, other = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    listed = [few("none", seed=seed) for seed in range(3)]
    process = start_driver(tmp_path, listed, path, "processes:1")
    for text in process.stdout:
        workers, words = json.loads(text.partition("]")[0] + "]"), text.split()
        if "1/3" in words:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    done = keys(path)
    assert 1 <= len(done) < 3
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not any(map(alive, workers))

    counts = executors.run_sweep(listed, path, device="cpu", report=str)
    assert counts == {"done": 3 - len(done), "failed": 0, "left out": 0}
    executors.run_sweep(listed, other, device="cpu", report=str)
    killed, whole = (recorded(p) for p in (path, other))
    assert list(killed) == keys(path) == [trial.key for trial in listed]
    assert {k: numbers(r) for k, r in killed.items()} == {k: numbers(r) for k, r in whole.items()}


def test_a_dask_cluster_that_loses_a_worker_records_every_trial_once(tmp_path):
    listed, path = [few(seed=seed) for seed in range(6)], tmp_path / "dask.jsonl"
    here = str(Path(executors.__file__).parents[2])
    search = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    where = tmp_path / "scheduler.json"
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--scheduler-file", str(where), "--no-dashboard"]
    dask = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_scheduler", *options, "--port", "0"]
    started = [subprocess.Popen(dask, **quiet)]
    try:
        while not where.exists():
            assert started[0].poll() is None, "the scheduler ended at once"
            time.sleep(0.05)
        command = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_worker", *options]
        command += ["--nthreads", "1", "--no-nanny"]
        started += [subprocess.Popen(command, **quiet) for _ in range(2)]
        address = json.loads(where.read_text())["address"]
        assert address.startswith("tcp://")

        def report(text):
            if text.startswith("2/6"):
                started[1].kill()

        counts = executors.run_sweep(listed, path, f"dask:{address}", device="cpu", report=report)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert counts == {"done": 6, "failed": 0, "left out": 0}
    assert sorted(keys(path)) == sorted(trial.key for trial in listed)


# --- the command --------------------------------------------------------------------------------------


def command(*words):
    return CliRunner().invoke(cli.main, ["sweep", *words])


def test_command_lists_runs_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "attempt", stand_in)
    listed = command("--list")
    assert (listed.exception, [text.split()[0] for text in listed.output.splitlines()[1:]]) == (
        None,
        list(SWEEPS),
    )
    done = command("hs-table6", "--small", "--limit", "3", "--results", str(tmp_path))
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "3 done, 0 failed, 0 left out")
    assert len(keys(tmp_path / "small" / "hs-table6.jsonl")) == 3
    rows = [text.split() for text in command("--status", "--results", str(tmp_path)).output.splitlines()]
    assert rows[0] == ["sweep", "scale", "done", "failed", "all", "beside", "s/trial", "device"]
    assert ["hs-table6", "small", "3", "0", "36", "0", "0.1", "auto"] in rows
    assert ["hs-table6", "paper", "0", "0", "48", "0"] in rows


def test_command_refuses_clearly(tmp_path):
    refused = command("hs-table7")
    assert (refused.exit_code, "name must be one of detectors, " in refused.output) == (
        1,
        True,
    )
    refused = command("hs-table6", "--small", "--network", "nope", "--results", str(tmp_path))
    assert (refused.exit_code, "network must be one of" in refused.output) == (1, True)
    (tmp_path / "file").touch()
    refused = command("hs-table6", "--small", "--results", str(tmp_path / "file" / "below"))
    assert (refused.exit_code, refused.output.startswith("Error: ")) == (1, True)
    refused = command("hs-table6", "--small", "--executor", "cloud", "--results", str(tmp_path))
    assert (refused.exit_code, "executor must be" in refused.output) == (1, True)


@pytest.mark.parametrize("where", ["nope", "processes:0", "processes:two", "dask:", "local:2"])
def test_a_wrong_executor_is_refused_before_anything_else(tmp_path, where):
    with pytest.raises(ValueError, match=f'executor must be "local", .* got {where!r}'):
        executors.run_sweep([], tmp_path / "none.jsonl", where)
    assert not list(tmp_path.iterdir())


def test_a_stopped_cluster_sweep_waits_for_nobody(monkeypatch):
    pool = SimpleNamespace(shutdown=lambda wait: stopped.append(wait))
    client = contextlib.nullcontext(SimpleNamespace(get_executor=lambda: pool))
    stopped = []
    monkeypatch.setattr("distributed.Client", lambda address: client)
    with contextlib.suppress(KeyboardInterrupt), executors.executor("dask:tcp://there:1") as (given, _):
        assert given is pool
        raise KeyboardInterrupt
    assert stopped == [False]


def test_another_network_is_for_trials_that_train_one_and_each_once(monkeypatch):
    seen = []
    monkeypatch.setattr(executors, "run_sweep", lambda trials, *_, **__: seen.append(trials))
    for name in ("features-robust", "detectors-features"):
        executors.run_named(name, "features", seeds=1, network="linear")
    robust, detectors = seen
    assert len({trial.key for trial in robust}) == len(robust) == 18
    assert {trial.network for trial in robust} == {"linear"}
    assert {t.detector for t in detectors if t.network == "none"} == {"knn", "prototype"}


def test_a_damaged_file_is_named_by_status_too(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small/hs-table3.jsonl").write_text('{"x": 1}\n')
    shown = CliRunner().invoke(cli.main, ["sweep", "--status", "--results", str(tmp_path)])
    assert (shown.exit_code, "hs-table3.jsonl line 1 is not a record" in shown.output) == (1, True)


def test_a_sweep_that_could_run_nothing_is_no_success(monkeypatch):
    counts = {"done": 0, "failed": 0, "left out": 3}
    monkeypatch.setattr("robust_lib.sweeps.run_named", lambda *_, **__: counts)
    assert CliRunner().invoke(cli.main, ["sweep", "recipe"]).exit_code == 1
    counts["done"] = 1
    assert CliRunner().invoke(cli.main, ["sweep", "recipe"]).exit_code == 0
