"""The same chapters under other seeds and other kernels of the processor: which claims hold in every run?

A claim is about an experiment, not about one run of it. `run` executes each notebook for several SEEDs, with
the plainest and with the richest kernels that the processor has, and counts how often each claim held.
"""

import hashlib
import json
import re
from pathlib import Path

import click

from robust_lib import records
from robust_lib.course import notebooks, runner

# None: the variable is taken away, so that torch and oneDNN choose the best that the processor has.
KERNELS = {
    "rich": {"ATEN_CPU_CAPABILITY": None, "ONEDNN_MAX_CPU_ISA": None},
    "plain": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
CELL_SECONDS = 3600  # plain kernels take several times as long
NEAR = 0.5  # in parts of the range of all runs: a bound as near as this to one of them is crossed one day


def run(rows: list[runner.Row], seeds: int, out: Path) -> int:
    """Runs the planned notebooks for SEED 0 … seeds - 1 with both kinds of kernels. Prints for each claim in
    how many runs it held, and the range that was measured. 0: all held; 1: one did not, or a run failed.

    What has run is kept in `out` and not run again while notebook and library stay as they are, so a stopped
    run goes on where it was.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    runs: dict[str, dict[str, dict]] = {row.path.stem: {} for row in rows}
    for kernels in KERNELS:  # the quick ones first
        for row in [row for row in rows if not row.error]:
            for seed in range(seeds):
                one = _run_one(row, seed, kernels, out)
                runs[row.path.stem][f"SEED {seed}, {kernels}"] = one
                held = sum(claim["passed"] for claim in one["claims"])
                click.echo(f"{row.path.stem}, SEED {seed}, {kernels}: {held}/{len(one['claims'])} claims")
    for row in rows:
        click.echo(f"\n{row.path.stem}: {row.error}" if row.error else f"\n{row.path.stem}")
        click.echo(table(runs[row.path.stem]))
    every = [one for each in runs.values() for one in each.values()]
    return int(any(row.error for row in rows) or not all(map(_held, every)))


def _held(one: dict) -> bool:
    return "error" not in one and all(claim["passed"] for claim in one["claims"])


def _run_one(row: runner.Row, seed: int, kernels: str, out: Path) -> dict:
    """{"claims": […]} of one run, and "error" where a cell other than the claims' failed."""
    stem = f"{row.path.stem}-{seed}-{kernels}"
    kept, claims, target = (out / f"{stem}{ending}" for ending in (".json", ".claims", ".ipynb"))
    key = _key(row)
    if kept.exists() and (result := json.loads(kept.read_text(encoding="utf-8")))["key"] == key:
        return result
    claims.unlink(missing_ok=True)
    result = {"key": key, "claims": []}
    variables = {"ROBUST_CLAIMS": str(claims), "ROBUST_FIGURES": None, **KERNELS[kernels]}
    try:
        runner.execute(row.path, target, row.values | {"SEED": seed}, CELL_SECONDS, **variables)
    except notebooks.NotebookError as error:
        result["error"] = str(error)
    if claims.exists():
        result["claims"] = json.loads(claims.read_text(encoding="utf-8"))
        if not all(claim["passed"] for claim in result["claims"]):  # theirs is the error
            result.pop("error", None)
    if "error" not in result:
        records.atomically(kept, json.dumps(result))
    return result


def _key(row: runner.Row) -> str:
    """A hash of the notebook's cells and parameters, the library, the records and the versions: while it is
    the same, a run need not be repeated."""
    run = (row.values, records.versions(), records.library_md5())
    digest = hashlib.md5(repr(run).encode(), usedforsecurity=False)
    for cell in notebooks.code_cells(notebooks.read(row.path)):
        digest.update(cell.source.encode())
    for file in sorted(records.RESULTS.rglob("*.jsonl")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def table(runs: dict[str, dict]) -> str:
    """A line per claim: runs in which it held, of all; the range measured; what is required, and whether some
    run came near it. Runs that failed before their claims are named below."""
    names = dict.fromkeys(claim["name"] for one in runs.values() for claim in one["claims"])
    lines = [_line(name, runs) for name in names]
    lines += [f"  {run} failed: {one['error']}" for run, one in runs.items() if "error" in one]
    return "\n".join(lines)


def _line(name: str, runs: dict[str, dict]) -> str:
    made = {run: claim for run, one in runs.items() for claim in one["claims"] if claim["name"] == name}
    missed = [run for run in runs if run not in made or not made[run]["passed"]]
    values = [claim["measured"] for claim in made.values()]
    required = next(iter(made.values()))["required"]
    mark = "  <-- " + ", ".join(missed) if missed else "  (near)" if _near(values, required) else ""
    return f"  {len(runs) - len(missed):2}/{len(runs)}  {name}: {_range(values)}, required {required}{mark}"


def _range(values: list) -> str:
    low, high = min(values), max(values)
    if isinstance(low, bool):
        return str(low) if low == high else "differs"
    return f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"


def _near(values: list, required: str) -> bool:
    bound = re.fullmatch(r"at (?:least|most) (\S+)", required)
    if not bound or min(values) == max(values):
        return False
    return min(abs(value - float(bound[1])) for value in values) < NEAR * (max(values) - min(values))
