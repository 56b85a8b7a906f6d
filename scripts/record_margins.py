"""Record chapter 02's margins for the film in the loss explorer: site/explorer/margins.json.

    python scripts/record_margins.py

Seven losses, the chapter's quick profile and its seed 0: 5,000 digits, 40 % of the labels flipped. The record
keeps every fifth digit. A margin is one byte: its quarter units, cut at ±31.75, as base64 of epochs × digits.
"""

import base64
import json
from pathlib import Path

import torch

from robust_lib import data, losses, training
from robust_lib.data import noise
from robust_lib.training import dynamics, models

OUT = Path(__file__).parents[1] / "site" / "explorer" / "margins.json"
SEED, NOISE_RATE, EVERY, STEP = 0, 0.4, 5, 0.25
# (title, name in the explorer, parameters, delay), as in chapter 02
RUNS = [
    ("CE", "ce", {}, 0),
    ("MAE", "mae", {}, 0),
    ("GCE q=0.7", "gce", {"q": 0.7}, 0),
    ("Blurry γ=0.5, stopped", "blurry-stopped", {"gamma": 0.5}, 0),
    ("Blurry γ=0.5, d=3", "blurry", {"gamma": 0.5}, 3),
    ("Blurry γ=0.15, d=3", "blurry", {"gamma": 0.15}, 3),
    ("Piecewise-zero c=0.1, d=1", "piecewise_zero", {"c": 0.1}, 1),
]


def in_bytes(delta: torch.Tensor) -> str:
    """Margins (epochs, digits) in steps of STEP, as base64 of signed bytes; a NaN is -128."""
    steps = (delta / STEP).round().clamp(-127, 127).nan_to_num(nan=-128)
    return base64.b64encode(steps.to(torch.int8).numpy().tobytes()).decode()


def record(title: str, name: str, params: dict, delay: int, train, given, test) -> dict:
    """One training of the chapter's small network, as one entry of the film."""
    stopped = {"stop_gradient": True} if name.endswith("-stopped") else {}
    loss = losses.get(name.removesuffix("-stopped"), **params, **stopped)
    recorder = dynamics.Recorder("train")
    run = training.fit(
        models.build("small_cnn", train, 10, seed=SEED), train, given.labels,
        loss.delayed(delay) if delay else loss, training.RECIPES["quick"],
        recorders=[recorder], test=test, seed=SEED, device="cpu",
    )  # fmt: skip
    accuracy = [round(value, 4) for value in run.column("test_accuracy")]
    margins = in_bytes(recorder.delta[:, ::EVERY])
    return {"title": title, "name": name, "params": params, "delay": delay} | {
        "accuracy": accuracy,
        "margins": margins,
    }


def main() -> None:
    torch.set_num_threads(1)
    parts = [data.load("mnist", part, size=size) for part, size in (("train", "mini"), ("test", "mini"))]
    train, test = (data.to_float(part.images, part.name) for part in parts)
    given = noise.corrupt(parts[0].labels, noise.uniform(10, NOISE_RATE), seed=SEED)
    runs = [record(*run, train, given, (test, parts[1].labels)) for run in RUNS]
    flipped = "".join(str(int(flip)) for flip in given.mask[::EVERY])
    film = {"seed": SEED, "noise_rate": NOISE_RATE, "step": STEP, "flipped": flipped, "runs": runs}
    OUT.write_text(json.dumps(film, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
