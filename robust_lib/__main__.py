"""The command line: ``python -m robust_lib COMMAND``. Commands import what they need when they run."""

import sys
from pathlib import Path

import click


@click.group(invoke_without_command=True)
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
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="build/course")
@click.option("--in-place", is_flag=True, help="Also store outputs in notebooks/ and figures in figures/.")
def course(only: tuple[str, ...], profile: str, given: dict[str, str], out: Path, in_place: bool) -> None:
    """Run the notebooks headless, check their claims, and write pages to browse."""
    from robust_lib import course as runner

    try:
        rows = runner.plan(runner.NOTEBOOKS, only, given, profile, in_place)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    sys.exit(runner.run(rows, profile, out, in_place))


@main.command()
def gallery() -> None:
    """Write figures/README.md and its tables from the figures' sidecars and the library."""
    from robust_lib import course, gallery

    gallery.write(course.FIGURES)


@main.group()
def bench() -> None:
    """Measure what things cost on this machine."""


@bench.command("losses")
def bench_losses() -> None:
    """Forward + backward of every loss at 4096 x 100, as multiples of torch's cross entropy."""
    from robust_lib import bench

    click.echo(bench.table(bench.loss_ratios()))


@bench.command("training")
@click.option(
    "--data", "name", type=click.Choice(["mnist", "fashion_mnist"]), default="mnist", show_default=True
)
@click.option("--size", type=click.Choice(["mini", "full"]), default="mini", show_default=True)
def bench_training(name: str, size: str) -> None:
    """One epoch of the HS network on the CPU: fit against a torchvision + DataLoader loop."""
    import torch

    from robust_lib import bench, data

    rates = bench.training_rates(data.load(name, "train", size=size))
    click.echo(f"{name} {size}, hs_mnist, batch 128, {torch.get_num_threads()} CPU threads, median of 3")
    click.echo(
        f"fit {rates['fit']:.0f} images/s, plain loop {rates['plain']:.0f}, ratio {rates['ratio']:.2f}"
    )


if __name__ == "__main__":
    main(prog_name="python -m robust_lib")
