"""Milliseconds of a training step by network: results/steps.jsonl.

    python scripts/measure_steps.py                  # on the GPU, where there is one
    python scripts/measure_steps.py --device cpu     # on all cores

`fit` trains each network for two epochs on random pictures of the data set's size, with augmentation where
there are colours; the faster epoch counts. What is recorded on a device is not run again.
"""

import argparse
from dataclasses import replace

import torch

from robust_lib import data, losses, records, training
from robust_lib.training import models

FILE = records.RESULTS / "steps.jsonl"
RUNS = {  # (data set, precision, batch, steps on a GPU, on a CPU)
    "hs_mnist": ("mnist", "fp32", 128, 200, 20),
    "cv_cnn4": ("mnist", "fp32", 128, 200, 20),
    "cv_cnn8": ("cifar10", "fp32", 128, 100, 4),
    "fast_resnet": ("cifar10", "bf16", 256, 100, 0),  # a CPU without bf16 takes minutes a step
    "resnet34": ("cifar10", "fp32", 128, 50, 2),
}


def measure(run: dict, steps: int, device: torch.device) -> dict:
    channels, size, _ = data.SETS[run["data"]].shape
    random = torch.Generator().manual_seed(0)
    images = torch.rand(run["batch_size"] * steps, channels, size, size, generator=random)
    labels = torch.randint(10, (len(images),), generator=random)
    changes = {name: run[name] for name in ("batch_size", "precision")}
    changes["augment"] = "crop-flip" if channels == 3 else "none"
    recipe = replace(training.RECIPES["hs-mnist"], epochs=2, **changes)
    model = models.build(run["network"], images, 10, seed=0)
    done = training.fit(model, images, labels, losses.ce(), recipe, device=str(device), progress=False)
    return {"ms": round(1000 * min(done.column("seconds")) / steps, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    device = training.pick_device(parser.parse_args().device)
    about = records.provenance(device)
    runs, steps = {}, {}
    for network, (name, precision, batch, *counts) in RUNS.items():
        if count := counts[device.type == "cpu"]:
            run = {"network": network, "data": name, "precision": precision, "batch_size": batch}
            runs[f"{network} {precision} {about['device']} {about['threads']}"] = run
            steps[network] = count
    records.fill(FILE, runs, lambda run: measure(run, steps[run["network"]], device), device)


if __name__ == "__main__":
    main()
