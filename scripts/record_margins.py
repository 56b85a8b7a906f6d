"""Record chapter 02's margins for the film in the loss explorer: site/explorer/margins.json.

    python scripts/record_margins.py

The seven trainings are the first seed of the sweep `margins`: 5,000 digits, 40 % of the labels flipped. Every
fifth digit is kept. A margin is one byte: its quarter units, cut at ±31.75, as base64 of epochs × digits.
"""

import base64
import json
from pathlib import Path

import torch

from robust_lib import sweeps, training
from robust_lib.sweeps.trials import Task, images_of
from robust_lib.training import dynamics

OUT = Path(__file__).parents[1] / "site" / "explorer" / "margins.json"
EVERY, STEP = 5, 0.25
NAMES = {"ce": "CE", "mae": "MAE", "gce": "GCE", "blurry": "Blurry", "piecewise_zero": "Piecewise-zero"}
SIGNS = {"q": "q", "gamma": "γ", "c": "c"}


def in_bytes(delta: torch.Tensor) -> str:
    """Margins (epochs, digits) in steps of STEP, as base64 of signed bytes; a NaN is -128."""
    steps = (delta / STEP).round().clamp(-127, 127).nan_to_num(nan=-128)
    return base64.b64encode(steps.to(torch.int8).numpy().tobytes()).decode()


def called(trial: sweeps.Trial) -> dict:
    """The trial's loss under its title in chapter 02 and under its name in the explorer."""
    params = dict(trial.params)
    stopped = params.pop("stop_gradient", False)
    knobs = [f"{SIGNS[key]}={value}" for key, value in params.items()]
    knobs += ["stopped"] * stopped + [f"d={trial.delay}"] * (trial.delay > 0)
    title = f"{NAMES[trial.loss]} {', '.join(knobs)}".strip()
    name = trial.loss + "-stopped" * stopped
    return {"title": title, "name": name, "params": params, "delay": trial.delay}


def record(task: Task) -> dict:
    """One training, as one entry of the film."""
    trial, recorder = task.trial, dynamics.Recorder("train")
    images, true, _ = images_of(trial.data, "test", trial.size, task.device)
    run = training.fit(
        task.build(trial.seed), task.images, task.labels, task.loss, task.recipe,
        recorders=[recorder], test=(images, true), **task.settings(),
    )  # fmt: skip
    accuracy = [round(value, 4) for value in run.column("test_accuracy")]
    return called(trial) | {"accuracy": accuracy, "margins": in_bytes(recorder.delta[:, ::EVERY])}


def main() -> None:
    torch.set_num_threads(1)
    tasks = [Task.of(trial, "cpu") for trial in sweeps.SWEEPS["margins"].trials("small", seeds=1)]
    flipped = "".join(str(int(flip)) for flip in tasks[0].wrong[::EVERY])
    trial, runs = tasks[0].trial, [record(task) for task in tasks]
    film = {"seed": trial.seed, "noise_rate": trial.rate, "step": STEP, "flipped": flipped, "runs": runs}
    OUT.write_text(json.dumps(film, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
