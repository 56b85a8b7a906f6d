"""The command line of scripts that record runs and show a table of them."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from robust_lib import records


def main(about: str, file: Path, runs: dict[str, dict], measure: Callable, table: Callable[[], str]) -> None:
    """Prints table() with --table; else fills `file`, on one thread, as `records.fill`. about: the help."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", action="store_true")
    if parser.parse_args().table:
        print(table())
        return
    torch.set_num_threads(1)
    records.fill(file, runs, measure)
