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


def measure(network: str, name: str, precision: str, batch: int, steps: int, device: str) -> dict:
    channels, size, _ = data.SETS[name].shape
    random = torch.Generator().manual_seed(0)
    images = torch.rand(batch * steps, channels, size, size, generator=random)
    labels = torch.randint(10, (len(images),), generator=random)
    recipe = replace(training.RECIPES["hs-mnist"], epochs=2, batch_size=batch, precision=precision)
    recipe = replace(recipe, augment="crop-flip" if channels == 3 else "none")
    model = models.build(network, images, 10, seed=0)
    run = training.fit(model, images, labels, losses.ce(), recipe, device=device, progress=False)
    return {"ms": round(1000 * min(run.column("seconds")) / steps, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    device = training.pick_device(parser.parse_args().device)
    about = records.provenance(device)
    with records.appending(FILE) as (recorded, append):
        for network, (name, precision, batch, *steps) in RUNS.items():
            key = f"{network} {precision} {about['device']} {about['threads']}"
            count = steps[device.type == "cpu"]
            if key in recorded or not count:
                continue
            run = {"network": network, "data": name, "precision": precision, "batch_size": batch}
            found = measure(network, name, precision, batch, count, str(device))
            append({"key": key, "status": "done", **run, **found, **about})
            print(key, found["ms"], flush=True)


if __name__ == "__main__":
    main()
