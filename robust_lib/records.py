"""Recorded trials: one JSON line each, in files that neither a crash nor a second writer spoils.

results/NAME.jsonl holds a sweep at the paper's scale, results/features/NAME.jsonl the one on frozen features,
results/small/NAME.jsonl the small version; what a line holds is in results/README.md.
"""

import datetime
import functools
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout

# In a clone results/ lies beside the package, in an installed package inside it.
_HERE = Path(__file__).parent
RESULTS = _HERE.parent / "results" if (_HERE.parent / "pyproject.toml").exists() else _HERE / "results"
SCALES = ("paper", "features", "small")
PACKAGES = ("torch", "numpy", "scikit-learn", "cleanlab")
CPU = torch.device("cpu")


def path_of(name: str, scale: str = "paper", folder: Path | None = None) -> Path:
    """The file of a sweep's records. ValueError for a scale that is not one of SCALES."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    return (folder or RESULTS) / ("" if scale == "paper" else scale) / f"{name}.jsonl"


def read(name: str, scale: str = "paper", folder: Path | None = None) -> list[dict]:
    """What is recorded of a sweep, in the order of the file, one record per key; [] if there is no file.

    Of several records with one key a finished one beats a failed one, and among equals the last counts.
    ValueError: an unknown scale, or a line that is no record.
    """
    return list(_by_key(path_of(name, scale, folder)).values())


def _by_key(path: Path) -> dict[str, dict]:
    by_key: dict[str, dict] = {}
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), start=1):
        try:
            record = json.loads(line)
            key, done = record["key"], record["status"] == "done"
            if done or by_key.get(key, record)["status"] == "failed":
                by_key[key] = record
        except (ValueError, TypeError, KeyError):
            hint = "if a stopped run left half a line, delete it, and its trial runs again"
            raise ValueError(f"{path} line {number} is not a record: {line[:80]!r}; {hint}") from None
    return by_key


@contextmanager
def appending(path: Path) -> Iterator[tuple[dict[str, dict], Callable[..., None]]]:
    """Open for one writer: (what is recorded by key, a function that appends one record or several).

    They are on the disk when that function returns: the file is written anew beside the old one, which
    it then replaces, so a reader and a kill at any moment meet whole lines only. RuntimeError if another
    process has the file open in this way; the lock ends with its process. ValueError as `read`.
    """
    path = path.resolve()  # what replaces the file would take the place of a link to it
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RuntimeError(f"another sweep is writing {path}; wait for it, or stop it first") from None

    def append(*rows: dict) -> None:
        before = path.read_bytes() if path.exists() else b""
        newline = b"\n" if before and not before.endswith(b"\n") else b""
        lines = b"".join(json.dumps(_plain(row), allow_nan=False).encode() + b"\n" for row in rows)
        atomically(path, before + newline + lines)

    try:
        yield _by_key(path), append
    finally:
        lock.release()


def fill(
    path: Path, runs: dict[str, dict], measure: Callable[[dict], dict], device: torch.device = CPU
) -> None:
    """Runs, by their keys, what `path` has no record of: the description, measure(description), provenance on
    the device, one line as each ends. Keys are printed. As `appending`."""
    about = provenance(device)
    with appending(path) as (recorded, append):
        for key, run in runs.items():
            if key not in recorded:
                append({"key": key, "status": "done", **run, **measure(run), **about})
                print(key, flush=True)


def _plain(value):
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def atomically(path: Path, content: bytes | str) -> None:
    """Writes a file whole or not at all. Several processes may write it at once: the last one counts."""
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.is_file():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


# --- provenance ---------------------------------------------------------------------------------------


def provenance(device: torch.device) -> dict[str, str | int | bool | None]:
    """Commit, versions, device, threads and date; nothing that tells one host from another of its kind."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    run = {"device": name, "threads": torch.get_num_threads(), "date": today}
    if device.type == "cuda":  # the two differ in the last digits, so a record says which it was
        run["tf32"] = torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32
    return run | commit() | {"python": platform.python_version()} | versions()


@functools.cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Of packages, by default of those that numbers depend on."""
    return {name: version(name) for name in packages}


def library_md5() -> str:
    """Of all modules of this package, as they are on the disk now."""
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted(_HERE.rglob("*.py")):
        digest.update(path.relative_to(_HERE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "CPU"


@functools.cache
def commit() -> dict[str, str | bool | None]:
    """The commit of the checkout this package runs from, and whether its modules differ from it; None where
    it is no checkout."""
    here = str(Path(__file__).parent)

    def git(*words: str) -> str:
        command = ["git", "-C", here, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "modified": bool(git("status", "--porcelain", "--", "*.py")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "modified": None}
