"""Recorded trials: one JSON line each, appended so that neither a crash nor a second writer spoils the file.

results/NAME.jsonl holds a sweep at the paper's scale, results/small/NAME.jsonl its small version; what a line
holds is in results/README.md.
"""

import datetime
import functools
import json
import math
import os
import platform
import subprocess
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

# In a clone results/ lies beside the package, in an installed package inside it.
_HERE = Path(__file__).parent
RESULTS = _HERE.parent / "results" if (_HERE.parent / "pyproject.toml").exists() else _HERE / "results"
SCALES = ("paper", "small")
PACKAGES = ("torch", "numpy", "scikit-learn", "cleanlab")


def path_of(name: str, scale: str = "paper", folder: Path | None = None) -> Path:
    """The file of a sweep's records. ValueError for a scale other than "paper" or "small"."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    return (folder or RESULTS) / ("small" if scale == "small" else "") / f"{name}.jsonl"


def read(name: str, scale: str = "paper", folder: Path | None = None) -> list[dict]:
    """What is recorded of a sweep, in the order of the file, one record per key; [] if there is no file.

    Of several records with one key a finished one beats a failed one, and among equals the last counts. A
    half last line, which a running or killed sweep may leave, is passed over with a warning.
    ValueError: an unknown scale, or a line before the last that is no record.
    """
    path = path_of(name, scale, folder)
    if not path.exists():
        return []
    whole, half = _split(path.read_bytes())
    if half:
        warnings.warn(f"{path} ends in half a line, which is passed over", stacklevel=2)
    return list(latest(path, whole).values())


def latest(path: Path, whole: bytes) -> dict[str, dict]:
    """Records by key; see `read`."""
    by_key: dict[str, dict] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        record = _parse(line)
        if record is None:
            raise ValueError(f"{path} line {number} is not a record: {line[:80]!r}")
        if record["status"] == "done" or by_key.get(record["key"], record)["status"] == "failed":
            by_key[record["key"]] = record
    return by_key


@contextmanager
def appending(path: Path) -> Iterator[tuple[dict[str, dict], Callable[[dict], None]]]:
    """Open for one writer: (what is recorded by key, a function that appends one record).

    A record is on the disk, whole, when that function returns. A half last line is moved to PATH.half with a
    warning. RuntimeError if another process has the file open in this way; the lock ends with its process.
    """
    import fcntl  # POSIX only; what others read of this module needs no lock

    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another sweep is writing {path}; wait for it, or stop it first") from None
        whole = _repair(file, path)
        yield latest(path, whole), functools.partial(_append, file)
    finally:
        os.close(file)


def _append(file: int, record: dict) -> None:
    line = json.dumps(_plain(record), allow_nan=False).encode() + b"\n"
    written = os.write(file, line)  # one write to a file opened with O_APPEND: never between another's bytes
    if written < len(line):
        raise OSError(f"only {written} of {len(line)} bytes of a record could be written: is the disk full?")
    os.fsync(file)


def _plain(value):
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _split(blob: bytes) -> tuple[bytes, bytes]:
    """(whole lines, the rest); a last record that lacks its newline only is whole."""
    end = blob.rfind(b"\n") + 1
    whole, half = blob[:end], blob[end:]
    return (blob + b"\n", b"") if half and _parse(half) else (whole, half)


def _parse(line: bytes) -> dict | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"key", "status"} <= record.keys() else None


def _repair(file: int, path: Path) -> bytes:
    """The whole lines of the file; what a crash has left behind them is moved aside first."""
    blob = path.read_bytes()
    whole, half = _split(blob)
    if len(whole) > len(blob):
        os.write(file, b"\n")
    if half:
        aside = path.with_name(path.name + ".half")
        with open(aside, "ab") as kept:
            kept.write(half + b"\n")
            kept.flush()
            os.fsync(kept.fileno())
        os.ftruncate(file, len(whole))
        warnings.warn(f"{path} ended in half a line, now in {aside.name}: its trial runs again", stacklevel=4)
    return whole


def atomically(path: Path, content: bytes | str) -> None:
    """Writes a file whole or not at all. Several processes may write it at once: the last one counts."""
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_bytes(content)
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
def versions() -> dict[str, str]:
    """Of the packages that numbers depend on."""
    return {name: version(name) for name in PACKAGES}


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
