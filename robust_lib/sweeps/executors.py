"""Running a sweep: what is not recorded yet, on any concurrent.futures.Executor, one record per trial.

The executor decides where trials run: in this process, in one process per core or GPU, or on a Dask cluster.
The records are written by this process alone, as trials finish.
"""

import functools
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from robust_lib import data, records, training
from robust_lib.data.noise import one_of
from robust_lib.sweeps.plans import SWEEPS, Trial, attempt, obstacles, path_of, read
from robust_lib.sweeps.trials import companies, load, spoils_process
from robust_lib.training import models


class InProcess(Executor):
    """Runs a call while it is being submitted."""

    def submit(self, function, /, *args, **kwargs) -> Future:
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def executor(where: str) -> Iterator[tuple[Executor, int | None]]:
    """(executor, how many trials to hand it at once; None: all) for "local", "processes", "processes:N" or
    "dask:ADDRESS".

    processes: one per GPU where there are any, else one of one thread per core, or N. dask needs the package
    distributed ([cluster]), and this library and the data sets on every worker. ValueError for anything else.
    """
    check_executor(where)
    kind, _, rest = where.partition(":")
    if kind == "local":
        yield InProcess(), 1
    elif kind == "processes":
        with _processes(int(rest or 0)) as (pool, workers):
            yield pool, workers
    else:
        from distributed import Client

        with Client(rest) as client:
            pool = client.get_executor()
            try:
                yield pool, None
            finally:  # after Ctrl-C nobody waits for what is left
                pool.shutdown(wait=False)


def check_executor(where: str) -> None:
    """ValueError unless it is a name that `executor` takes."""
    if not re.fullmatch(r"local|processes(:0*[1-9]\d*)?|dask:.+", where):
        raise ValueError(
            f'executor must be "local", "processes", "processes:N" or "dask:ADDRESS", got {where!r}'
        )


@contextmanager
def _processes(workers: int) -> Iterator[tuple[Executor, int]]:
    context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
    cards = _cards()
    workers = workers or len(cards) or os.cpu_count() or 1
    hand_out = context.SimpleQueue()
    for k in range(workers):
        hand_out.put(cards[k % len(cards)] if cards else None)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (hand_out,))
    try:
        yield pool, workers
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # a trial may take hours: Ctrl-C does not wait for it
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _cards() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    return [str(k) for k in range(torch.cuda.device_count())]


def _start_worker(hand_out) -> None:
    import signal

    # Ctrl-C reaches the whole process group; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    if (card := hand_out.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A parent that was killed cannot end its workers, and they would wait for work for ever.
    multiprocessing.parent_process().join()
    os._exit(1)


def run_sweep(
    trials: list[Trial],
    path: Path,
    where: str = "local",
    *,
    device: str = "auto",
    limit: int | None = None,
    retry_failed: bool = False,
    elsewhere: dict[str, dict] | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, int]:
    """Runs the trials that `path` has no record of and appends one record each; at most `limit` of them.

    A trial that raises is recorded as failed, and run again only with retry_failed. Trials not recorded yet
    that lack something here (`obstacles`, or data that cannot be had) are counted and left out, except on a
    cluster, whose workers look for themselves. `elsewhere`: finished records by key, to be copied. Returns
    the numbers of trials done, failed, and left out. ValueError: an unknown executor; a device that is not
    here, but for a cluster, whose workers have their own. RuntimeError: another sweep writes to `path`, a
    worker process died, or a GPU error has spoiled one (its trial is recorded as failed, so that it cannot
    stop the next run too); what has finished is recorded.
    """
    check_executor(where)
    if not where.startswith("dask:"):
        training.pick_device(device)  # or every trial would be recorded as failed
    with records.appending(path) as (known, append):
        again = {key for key, record in known.items() if retry_failed and record["status"] == "failed"}
        todo = [trial for trial in trials if trial.key not in known.keys() - again]
        copied = {trial.key: elsewhere[trial.key] for trial in todo if trial.key in (elsewhere or {})}
        if copied:
            append(*copied.values())  # at once: the file is written anew by each call
        todo = [trial for trial in todo if trial.key not in copied]
        # What is recorded needs no data any more; and a cluster's workers have data of their own.
        blocked = {} if where.startswith("dask:") else _blocked(todo, try_data=True)
        for reason, trials_out in blocked.items():
            report(f"left out, {reason}: {len(trials_out)} trials")
        left_out = set().union(*blocked.values())
        todo, ready = [trial for trial in todo if trial not in left_out], len(trials) - len(left_out)
        report(f"{path}: {ready - len(todo)} of {ready} trials recorded, {len(todo)} to run")
        counts = {"done": 0, "failed": 0, "left out": len(left_out)}
        for record in _run(todo[:limit], where, device, report):
            append(record)
            counts[record["status"]] += 1
    return counts


def _run(todo: list[Trial], where: str, device: str, report: Callable[[str], None]) -> Iterator[dict]:
    """Records as trials finish. A line for each: how many, its seconds, what came out, and the time left."""
    if not todo:
        return
    start = time.perf_counter()
    with executor(where) as (pool, width):
        for done, (trial, record) in enumerate(_results(pool, width or len(todo), todo, device), start=1):
            yield record
            left = tqdm.format_interval((time.perf_counter() - start) / done * (len(todo) - done))
            took = f"{record['seconds']:.1f} s" if "seconds" in record else ""
            report(f"{done}/{len(todo)}  {took:>7}  {trial}  {_outcome(record)}  left {left}")
            if record.get("spoilt"):
                raise RuntimeError(
                    f"a GPU error has spoiled the process that ran {trial}, which is recorded as failed; "
                    "start its worker anew, and the same command goes on with the other trials"
                )


def _blocked(trials: Iterable[Trial], try_data: bool = False) -> dict[str, set[Trial]]:
    """The trials that cannot run, by reason; with try_data their images are looked for, and downloaded."""
    reasons: dict[str, set[Trial]] = {}
    for trial in trials:
        lacks = obstacles(trial)
        if try_data and not lacks:
            lacks = dict.fromkeys(why for want in _wants(trial) if (why := _refused(*want)))
        if lacks:
            reasons.setdefault("; ".join(lacks), set()).add(trial)
    return reasons


def _wants(trial: Trial) -> list[tuple]:
    """What a trial loads, as calls (function, arguments): asked before a sweep begins, not once per trial."""
    images = [(load, trial.data, split, trial.size) for split in ("train", "test")]
    return images + [(models.imagenet_weights,)] * (trial.network == "resnet34_imagenet")


@functools.cache
def _refused(get: Callable, *arguments) -> str:
    """Why this cannot be had, or nothing."""
    try:
        get(*arguments)
    except data.DataError as error:
        return str(error)
    return ""


def run_named(
    name: str | None,
    scale: str,
    where: str = "local",
    *,
    seeds: int | None = None,
    network: str | None = None,
    folder: Path | None = None,
    **options,
) -> dict[str, int]:
    """`run_sweep` for a sweep of SWEEPS, into its own file. ValueError for an unknown name, scale or network.

    What another sweep has recorded already is copied from there: HS Fig. 8 shares its trials with Table 1.
    network takes the place of every trial's own: other trials, with other keys.
    """
    one_of("name", name, SWEEPS)
    one_of(f"scale of {name}", scale, SWEEPS[name].seeds)
    if scale != "paper":
        torch.set_num_threads(1)  # as the quick profile: the numbers then depend little on the machine
    trials = SWEEPS[name].trials(scale, seeds)
    if network:
        one_of("network", network, models.HEADS if scale == "features" else models.MODELS)
        moved = (trial if trial.network == "none" else replace(trial, network=network) for trial in trials)
        # Of a sweep that lists several networks, each trial once.
        trials = list({trial.key: trial for trial in moved}.values())
    others = [record for other in SWEEPS.keys() - {name} for record in read(other, scale, folder)]
    elsewhere = {record["key"]: record for record in others if record["status"] == "done"}
    return run_sweep(trials, path_of(name, scale, folder), where, elsewhere=elsewhere, **options)


def _results(pool: Executor, width: int, todo: list[Trial], device: str) -> Iterator[tuple[Trial, dict]]:
    """Trials with their records as they finish, at most `width` companies handed over at a time."""
    queue, waiting = iter(companies(todo)), {}
    while True:
        for company in islice(queue, width - len(waiting)):
            waiting[pool.submit(attempt, company, device)] = company
        if not waiting:
            return
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            company = waiting.pop(future)
            yield from zip(company, _records(company, future), strict=True)


def _records(company: list[Trial], future: Future) -> list[dict]:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise RuntimeError(
            "a worker process died (killed, or out of memory?); what had finished is recorded, "
            "so the same command goes on from there"
        ) from error
    except Exception as error:  # of the executor's own, such as a Dask task whose workers keep dying
        head = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        spoilt = {"spoilt": True} if spoils_process(error) else {}
        return [{"key": trial.key} | head | trial.flat() | spoilt for trial in company]


def _outcome(record: dict) -> str:
    if record["status"] == "failed":
        return f"FAILED {record['error']}"
    name = "f1" if "f1" in record else "test_accuracy"
    return f"{name} {record[name]:.3f}"


def listing() -> str:
    """Every sweep: what it recreates, how many trials, and what is missing here."""
    rows = [("sweep", *records.SCALES, "recreates")]
    for sweep in SWEEPS.values():
        listed = {scale: sweep.trials(scale) for scale in sweep.seeds}
        counts = [str(len(listed.get(scale, ()))) for scale in records.SCALES]
        trials = next(iter(listed.values()))
        blocked = _blocked(trials)
        notes = [f"{len(held)} wait: {reason}" for reason, held in blocked.items()]
        wanted = sorted({trial.data for trial in trials if trial.size == "full"})
        notes += [f"{name} is not here" for name in wanted if not _here(name)]
        rows.append((sweep.name, *counts, sweep.artefact + (f" [{'; '.join(notes)}]" if notes else "")))
    return _table(rows)


def _here(name: str) -> bool:
    """Whether files of the full set lie in $ROBUST_DATA or the cache, whole or not."""
    return any((root / place).exists() for root in data.roots() for place in data.SETS[name].places)


def status(folder: Path | None = None) -> str:
    """Every sweep and scale: trials done, failed and all, mean seconds per trial, devices.

    beside: finished trials that are not on the sweep's list, of other seeds or another network.
    """
    rows = [("sweep", "scale", "done", "failed", "all", "beside", "s/trial", "device")]
    for sweep in SWEEPS.values():
        for scale in sweep.seeds:
            keys = {trial.key for trial in sweep.trials(scale)}
            found = read(sweep.name, scale, folder)
            finished = [record for record in found if record["status"] == "done"]
            done = [record for record in finished if record["key"] in keys]
            failed = [r for r in found if r["key"] in keys and r["status"] == "failed"]
            mean = f"{sum(r['seconds'] for r in done) / len(done):.1f}" if done else ""
            devices = ", ".join(sorted({record["device"] for record in done}))
            numbers = (len(done), len(failed), len(keys), len(finished) - len(done))
            rows.append((sweep.name, scale, *map(str, numbers), mean, devices))
    return _table(rows)


def _table(rows: list[tuple[str, ...]]) -> str:
    from tabulate import tabulate  # Colab may lack it, where sweeps are only read

    return tabulate(rows, headers="firstrow", tablefmt="plain", disable_numparse=True)
