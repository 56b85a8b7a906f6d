"""The command line: ``python -m robust_lib COMMAND``. Commands import what they need when they run."""

import contextlib
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import click

AGAIN = 5.0  # seconds after which Ctrl-C comes again
# Import name to PyPI's, where they differ.
PYPI_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn"}


class _Commands(click.Group):
    """Commands that say in one line which package (on Colab ours is installed alone) or data they lack."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            if not error.name or "." in error.name:  # a part of what is installed: a fault, not a lack
                raise
            package = PYPI_NAMES.get(error.name, error.name)
            raise click.ClickException(f"{package} is not installed here: pip install {package}") from None
        except RuntimeError as error:
            data = sys.modules.get("robust_lib.data")  # what is not imported has raised nothing
            if data is None or not isinstance(error, data.DataError):
                raise
            raise click.ClickException(str(error)) from None


@click.group(cls=_Commands, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Robust losses for noisy labels: the course's commands."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _pairs(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, _) in zip(texts, pairs, strict=True):
        if not (name and equals):
            raise click.BadParameter(f"write NAME=VALUE; got {text!r}")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise click.BadParameter("a parameter is given twice")
    return {name: value for name, _, value in pairs}


@main.command()
@click.option("--only", multiple=True, metavar="NUMBER", help="Run this notebook, such as 06 (repeatable).")
@click.option("--profile", type=click.Choice(["quick", "full"]), default="quick", show_default=True)
@click.option("-p", "given", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Set a parameter.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="[default: build/course, or build/student]",
)
@click.option("--in-place", is_flag=True, help="Also store outputs in notebooks/ and figures in figures/.")
@click.option(
    "--shake", is_flag=True, help="Several SEEDs, plain and rich kernels: which claims always hold?"
)
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="How many, for --shake.")
@click.option(
    "--student",
    is_flag=True,
    help="Run nothing: write the notebooks without what answers predictions and exercises.",
)
def course(
    only,
    profile: str,
    given: dict[str, str],
    out: Path | None,
    in_place: bool,
    shake: bool,
    seeds: int,
    student: bool,
):
    """Run the notebooks headless, check their claims, and write pages to browse."""
    from robust_lib.course import runner
    from robust_lib.course import shake as shaker

    if student and (shake or in_place or profile != "quick" or given):
        raise click.UsageError("--student goes with --only and --out alone: it runs nothing")
    out = out or Path("build/student" if student else "build/course")
    if out.resolve() in {path.parent.resolve() for path in runner.NOTEBOOKS}:
        raise click.UsageError(f"--out must be another folder than that of the notebooks, got {out}")
    if student:
        _student(only, out)
        return
    if shake and (in_place or profile != "quick" or "SEED" in given):
        raise click.UsageError("--shake goes with --only, -p and --seeds alone, and chooses SEED itself")
    try:
        rows = runner.plan(runner.NOTEBOOKS, only, given, profile, in_place)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if shake:
        sys.exit(shaker.run(rows, seeds, out / "shake"))
    sys.exit(runner.run(rows, profile, out, in_place))


def _student(only: tuple[str, ...], out: Path) -> None:
    from robust_lib.course import notebooks, runner
    from robust_lib.course import student as students

    try:
        chosen = runner.select(runner.NOTEBOOKS, only)
        students.write(chosen, out)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except notebooks.NotebookError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"student versions: {len(chosen)}, in {out}")


def _figures() -> Path:
    folder = Path(__file__).resolve().parent.parent / "figures"
    if not folder.is_dir():
        raise click.ClickException("there is no figures/ here: run this from a clone of the repository")
    return folder


@main.command()
def gallery() -> None:
    """Write figures/README.md and its tables from the figures' sidecars and the library."""
    from robust_lib import gallery

    gallery.write(_figures())


@main.group()
def bench() -> None:
    """Measure what things cost on this machine."""


def _device(context: click.Context, option: click.Parameter, name: str) -> str:
    if name not in ("auto", "cpu"):  # which need no torch to be told
        from robust_lib import training

        try:
            training.pick_device(name)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return name


@bench.command("losses")
def bench_losses() -> None:
    """An epoch of training with every loss, 1,024 digits, as multiples of one with cross entropy."""
    from robust_lib import data
    from robust_lib.sweeps import bench

    digits = data.load("mnist", "train", size="mini")
    few = replace(digits, images=digits.images[:1024], labels=digits.labels[:1024], index=digits.index[:1024])
    click.echo(bench.table(bench.loss_ratios(few)))


@bench.command("heads")
def bench_heads() -> None:
    """A linear head for every loss of HS Table 1 and its grid: all together, and one by one."""
    from robust_lib import data, sweeps
    from robust_lib.sweeps import bench

    for name in data.PACK_MD5:
        trials = sweeps.SWEEPS[f"hs-table1-{name}"].trials("features", seeds=1)
        several = [sweeps.build_loss(trial, len(data.SETS[name].classes)) for trial in trials]
        several = list({str(loss): loss for loss in several}.values())
        found = bench.head_seconds(data.load_features(name, "test"), several)
        ratio = found["one by one"] / found["together"]
        click.echo(
            f"{name}, {len(several)} losses: one by one {found['one by one']:.2f} s, together "
            f"{found['together']:.2f} s, ratio {ratio:.1f}; weights differ by {found['apart']:.0e} at most"
        )


@bench.command("aum")
def bench_aum() -> None:
    """One epoch of the area under the margin, 50,000 x 10 in batches of 128: ours and the aum package."""
    import torch

    from robust_lib.sweeps import bench

    torch.set_num_threads(1)
    found = bench.aum_seconds()
    ratio = found["aum package"] / found["ours"]
    click.echo(f"aum package {found['aum package']:.2f} s, ours {found['ours']:.3f} s, ratio {ratio:.0f}")
    click.echo("equal to the last bit" if found["equal"] else "NOT EQUAL")


@bench.command("training")
@click.option(
    "--data", "name", type=click.Choice(["mnist", "fashion_mnist"]), default="mnist", show_default=True
)
@click.option("--size", type=click.Choice(["mini", "full"]), default="mini", show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--device", default="cpu", show_default=True, callback=_device)
def bench_training(name: str, size: str, epochs: int, seeds: int, device: str) -> None:
    """The HS network: fit, in float32 and, where there is hardware for it, bfloat16, against a torchvision +
    DataLoader loop."""
    import torch

    from robust_lib import data
    from robust_lib.sweeps import bench

    pictures = [data.load(name, split, size=size) for split in ("train", "test")]
    where = f"{device}, {torch.get_num_threads()} CPU threads"
    click.echo(f"{name} {size}, hs_mnist, batch 128, {epochs} epochs, {where}")
    click.echo(bench.training_table(*pictures, epochs, seeds=seeds, device=device))


@bench.command("growth")
@click.option("--device", default="auto", show_default=True, callback=_device)
def bench_growth(device: str) -> None:
    """Seconds and peak memory against images, classes and losses to try, into results/growth.jsonl."""
    from robust_lib.sweeps import growth

    growth.run(device=device)


@main.command()
@click.argument("name", required=False)
@click.option("--list", "show", flag_value="listing", help="Every sweep, with its trials and what it lacks.")
@click.option("--status", "show", flag_value="status", help="What is recorded of every sweep.")
@click.option("--small", "scale", flag_value="small", help="The version for mini packs and a laptop.")
@click.option("--features", "scale", flag_value="features", help="Heads on frozen features of CIFAR.")
@click.option("--paper", "scale", flag_value="paper", default=True, help="The paper's own scale (default).")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds, in place of the sweep's own number.")
@click.option("--network", help="In place of the sweep's own, such as resnet34 where there are no weights.")
@click.option("--executor", "where", default="local", show_default=True, help="processes[:N], dask:ADDRESS")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many trials.")
@click.option("--device", default="auto", show_default=True)
@click.option("--retry-failed", is_flag=True, help="Also run the trials that are recorded as failed.")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), help="In place of results/.")
def sweep(name, show, scale, where, results, **options) -> None:
    """Run what is not recorded yet of the sweep NAME, one line per trial in results/NAME.jsonl.

    It can be stopped at any moment; the same command goes on from there.
    """
    from robust_lib import sweeps

    try:
        if show:
            click.echo(sweeps.listing() if show == "listing" else sweeps.status(results))
            return
        counts = sweeps.run_named(name, scale, where, folder=results, **options)
    except (ValueError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from here") from None
    click.echo(", ".join(f"{number} {what}" for what, number in counts.items()))
    sys.exit(bool(counts["failed"]) or 0 < counts["left out"] == sum(counts.values()))


@contextlib.contextmanager
def _interrupted_for_sure():
    """Ctrl-C comes again after AGAIN seconds: Python forgets one that meets a callback of its garbage."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield  # Windows has no such timer
        return

    def interrupt(*_) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@main.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--loss",
    default="gce",
    show_default=True,
    help="ce, focal, gce, anl_ce, anl_fl, blurry or piecewise_zero, with the parameters of HS. gce had the "
    "best mean F1 of them in our trials on three sets with several kinds of noise, on frozen features; from "
    "scratch ce was as good.",
)
@click.option(
    "--detector",
    type=click.Choice(["cl", "aum", "both"]),
    default="both",
    show_default=True,
    help="Confident Learning, area under the margin, or what both flag, ranked by the latter.",
)
@click.option(
    "--backbone",
    metavar="NAME|none",
    help="The network of timm whose frozen features of the images a linear head is trained on; none trains "
    "networks from scratch. [default: tf_efficientnet_lite0, or none where timm is missing]",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The backbone's weights, safetensors or a state dict, in place of its own.",
)
@click.option("--epochs", type=click.IntRange(1), help="[default: 8 from scratch, 10 on features]")
@click.option("--device", default="auto", show_default=True, help="cpu, or cuda (not tested there yet).")
@click.option(
    "--features",
    type=click.Path(exists=True, dir_okay=False),
    help="Embeddings to train a small head on, in place of the images: an .npy of shape (N, D), rows in the "
    "order of SOURCE.",
)
@click.option(
    "--probs",
    type=click.Path(exists=True, dir_okay=False),
    help="Probabilities (N, K) of your own network, out of sample, in place of training: an .npy, .npz or "
    ".csv, rows in the order of SOURCE, columns in that of the classes or named by a CSV's header.",
)
@click.option(
    "--paths",
    help="Which row of features or probs is which image of a folder: sorted (by class, then path), "
    "imagefolder (torchvision's order), or a file of one path a line, as --list prints; of mended data, "
    "find_row for rows from before. Needed where orders differ.",
)
@click.option(
    "--missing",
    multiple=True,
    metavar="WORD",
    help="What means 'no label' in a CSV or .npz (repeatable), in place of nan, none, null, ? and, if it is "
    "the only negative number, -1.",
)
@click.option("--list", "list_only", is_flag=True, help="Print the paths of SOURCE, one a line, and stop.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: find-NAME, here]")
def find(source: Path, out: Path | None, missing: tuple[str, ...], list_only: bool, **options) -> None:
    """Find wrong labels in your own data and write a page to look at them.

    SOURCE is a folder with one sub-folder of images per class, a CSV with columns path and label, or an .npz
    with labels and images or features. It is never written to. If stopped, the same command goes on.
    """
    try:
        with _interrupted_for_sure():
            from robust_lib import find

            if list_only:
                click.echo(os.fsencode(find.list_paths(source)), nl=False)
            else:
                find.find(source, out, missing=missing or None, **options)
    except (ValueError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("stopped; the same command goes on from here") from None


@main.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("decisions", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--folder",
    type=click.Choice(["links", "copies"]),
    help="Write a corrected copy of the folder of images, of hard links or of files, in place of a list.",
)
@click.option("--out", type=click.Path(path_type=Path), help="[default: mended.csv or mended/ in RUN]")
def mend(run: Path, decisions: Path, folder: str | None, out: Path | None) -> None:
    """Write the data that RUN, a folder of `find`, looked at with the DECISIONS taken on its page.

    The input is never written to. Decisions of another run, and an input that has changed since, are refused.
    `find` on the result does not show again what was decided.
    """
    from robust_lib import find

    try:
        click.echo("\n".join(find.mend(run, decisions, out, folder).summary))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
def figures() -> None:
    """Draw the papers' tables and figures from results/ into figures/papers/, and write the gallery."""
    from robust_lib import gallery

    folder = _figures()
    gallery.draw(folder)
    gallery.write(folder)


@main.command("data")
@click.argument("names", nargs=-1, required=True)
def get_data(names: tuple[str, ...]) -> None:
    """Fetch data sets by name, unless they are here, and say what is where.

    NAMES: cifar-n, label-errors, cifar-10h (human labels); mnist, fashion_mnist, cifar10, cifar100 (images).
    They go into the folder that ROBUST_DATA names, or else into the usual cache.
    """
    from robust_lib import data
    from robust_lib.data import people

    known = (*people.COLLECTIONS, *data.MIRRORS)
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"there is no data set {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names:
        splits = [] if name in people.COLLECTIONS else ["train", "test"]
        lines = [data.load(name, split, size="full").origin for split in splits] or people.fetch(name)
        click.echo("\n".join(lines))


@main.group()
def record() -> None:
    """Run again what the chapters show from results/."""


@record.command("verdicts")
@click.option("--device", default="auto", show_default=True, callback=_device)
def record_verdicts(device: str) -> None:
    """Chapter 15: detectors against people, on full MNIST and CIFAR-10; eight minutes on one idle core."""
    from robust_lib.sweeps import against_people

    against_people.record(device=device, progress=click.echo)


if __name__ == "__main__":
    main(prog_name="python -m robust_lib")
