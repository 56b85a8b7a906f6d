"""The same chapters under other seeds and other kernels of the processor: which claims hold in every run?

A claim is about an experiment, not about one run of it. `run` executes each notebook for several SEEDs, with
the plainest and with the richest kernels that the processor has, and counts how often each claim held.
"""

import hashlib
import json
import shutil
from pathlib import Path

import click

from robust_lib import records
from robust_lib.course import runner

# None: the variable is taken away, so that torch and oneDNN choose the best that the processor has.
KERNELS = {
    "rich": {"ATEN_CPU_CAPABILITY": None, "ONEDNN_MAX_CPU_ISA": None},
    "plain": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
CELL_SECONDS = 3600  # plain kernels take several times as long


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
    found, target = (out / f"{stem}{ending}" for ending in (".json", ".ipynb"))
    key = _key(row)
    if found.exists() and (kept := json.loads(found.read_text(encoding="utf-8")))["key"] == key:
        return kept
    claims = out / f"{stem}.claims"
    claims.unlink(missing_ok=True)
    variables = {"ROBUST_CLAIMS": str(claims), **KERNELS[kernels]}
    result = {"key": key, "claims": [], "error": "it reported no claims"}
    try:
        with runner.environment(**variables):
            values = row.values | {"SEED": seed}
            runner.execute(row.path, target, values, out / "figures" / stem, CELL_SECONDS)
    except runner.NotebookError as error:
        result["error"] = str(error)
    shutil.rmtree(out / "figures" / stem, ignore_errors=True)
    if claims.exists():  # then the only cell that can have failed is the claims' own
        result = {"key": key, "claims": json.loads(claims.read_text(encoding="utf-8"))}
    if "error" not in result:
        records.atomically(found, json.dumps(result))
    return result


def _key(row: runner.Row) -> str:
    """A hash of the notebook's cells and parameters, the library, the records and the versions: while it is
    the same, a run need not be repeated."""
    digest = hashlib.md5(repr((row.values, records.versions())).encode(), usedforsecurity=False)
    for cell in runner.code_cells(runner.read(row.path)):
        digest.update(cell.source.encode())
    files = [*Path(records.__file__).parent.rglob("*.py"), *records.RESULTS.rglob("*.jsonl")]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def table(runs: dict[str, dict]) -> str:
    """A line per claim: runs in which it held, of all; the range measured; what is required. Runs that failed
    before their claims are named below."""
    names = dict.fromkeys(claim["name"] for one in runs.values() for claim in one["claims"])
    lines = []
    for name in names:
        made = [claim for one in runs.values() for claim in one["claims"] if claim["name"] == name]
        missed = _misses(runs, name)
        mark = "  <-- " + ", ".join(missed) if missed else ""
        required = made[0]["required"]
        lines.append(
            f"  {len(runs) - len(missed):2}/{len(runs)}  {name}: {_range(made)}, required {required}{mark}"
        )
    lines += [f"  {run} failed: {one['error']}" for run, one in runs.items() if "error" in one]
    return "\n".join(lines)


def _misses(runs: dict[str, dict], name: str) -> list[str]:
    held = {run for run, one in runs.items() for c in one["claims"] if c["name"] == name and c["passed"]}
    return [run for run in runs if run not in held]


def _range(made: list[dict]) -> str:
    values = [claim["measured"] for claim in made]
    low, high = min(values), max(values)
    if isinstance(low, bool):
        return str(low) if low == high else "differs"
    return f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"
