"""Seconds and memory of `find` on features, by the number of samples: results/find_growth.jsonl.

    python scripts/measure_find.py                   # 2,000, 20,000 and 100,000 samples, on the CPU
    python scripts/measure_find.py 2000              # one of them

Features are drawn at random, WIDTH numbers around one of CLASSES centres, and a tenth of the labels is wrong:
what find costs hangs on their number alone. Each size has a process of its own, with as many threads as torch
takes. What is recorded on this kind of processor is not run again.
"""

import contextlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from robust_lib import find, records
from robust_lib.data import noise

SIZES = (2_000, 20_000, 100_000)
CLASSES, WIDTH, RATE = 10, 256, 0.1
FILE = records.RESULTS / "find_growth.jsonl"


def write(path: Path, samples: int) -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, CLASSES, samples)
    centres = random.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    features = centres[true] + 3 * random.normal(size=(samples, WIDTH)).astype(np.float32)
    labels = noise.corrupt(true, noise.uniform(CLASSES, RATE), seed=0).labels.numpy()
    np.savez(path, features=features, labels=labels)


def measure(samples: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "set.npz"
        write(source, samples)
        wall, processor = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            found = find.find(source, Path(folder) / "out", device="cpu", progress=False)
        assert len(found.ranking) == samples
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1024
    )
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "peak_mib": round(peak)}


def main(*sizes: str) -> None:
    if sizes[:1] == ("--here",):
        samples, processor = int(sizes[1]), records.provenance(torch.device("cpu"))["device"]
        run = {"samples": samples, "classes": CLASSES, "width": WIDTH}
        records.fill(FILE, {f"{samples} {processor}": run}, lambda run: measure(run["samples"]))
        return
    for samples in map(int, sizes or SIZES):
        subprocess.run([sys.executable, __file__, "--here", str(samples)], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
