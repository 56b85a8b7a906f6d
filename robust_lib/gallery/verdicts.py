"""Does what a paper states hold in numbers: in its own, and in ours at each scale?

    side = Side("features")                                    what is recorded there
    ahead("HS Table 4", "f1", ["PZ"], HS_BASELINES)(side)      a Case for each row of the table
    judge(cases, "nearly all")                                 "holds", "mixed", "reversed", or "" for no case

A test is a function from a Side to cases. statements.py lists the statements with their tests.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from robust_lib.gallery import comparison
from robust_lib.gallery.orderings import FALL, FITTED, TIE, VERDICTS
from robust_lib.papers import reported

HOLDS, MIXED, REVERSED = VERDICTS
PRINTED = "printed"
# What a statement's word asks of its cases: the share that must hold. 0.8 for "nearly all" is our reading.
SHARES = {"all": 1.0, "nearly all": 0.8, "some": 0.0}
EXTRA = ("precision", "recall", "margin_clean", "margin_wrong")  # columns of records that no table prints

Place = tuple  # (data, noise, rate) in the paper's words, and our data where they stand in for others
Numbers = dict[Place, dict[str, dict[str, dict[int, float]]]]  # place -> loss -> metric -> seed -> value
Grids = dict[tuple, dict[float, dict[float, dict[int, float]]]]  # line -> rate -> parameter -> seed -> score


@dataclass(frozen=True)
class Case:
    """One comparison: where, the differences by seed that decide it, the number of seeds (0: the paper's own
    numbers), and one of VERDICTS."""

    where: str
    differences: tuple[float, ...]
    seeds: int
    verdict: str


Test = Callable[["Side"], list[Case]]


@dataclass(frozen=True)
class Side:
    """Where numbers come from: "printed", the paper's own, or ours at one of SCALES, from the folder of
    results (default results/)."""

    scale: str
    folder: Path | None = None
    _known: dict = field(default_factory=dict, compare=False, repr=False)

    def numbers(self, artefact: str, best: bool = False) -> Numbers:
        """Those of a table for what the paper prints a number of; of ours also EXTRA. HS's BL stands for both
        gradients. best: of several recorded γ or c the best on the score shown, as HS picked its own.
        Records are read when they are asked for first."""
        if (artefact, best) not in self._known:
            self._known[artefact, best] = self._numbers(artefact, best)
        return self._known[artefact, best]

    def _numbers(self, artefact: str, best: bool) -> Numbers:
        found: Numbers = {}
        if self.scale == PRINTED:
            for row in reported.table(artefact):
                place = (row.data, row.noise, comparison.rate(row.noise, row.rate), "")
                for loss in comparison.BLURRY.values() if row.loss == "BL" else (row.loss,):
                    _put(found, place, loss, row.metric, {0: row.mean})
            return found
        printed = {
            (row.data, row.noise, comparison.rate(row.noise, row.rate)) for row in reported.table(artefact)
        }
        stand_ins = comparison.SOURCES[artefact].stand_ins
        for cell in comparison.cells(artefact, self.scale, self.folder, best):
            words = tuple(stand_ins.get(word, word) for word in (cell.data, cell.noise))
            if cell.ours and (*words, cell.rate) in printed:
                place = (*words, cell.rate, "" if cell.data == words[0] else cell.data)
                _put(found, place, cell.loss, cell.metric, cell.ours.values)
                for name in EXTRA:
                    column = {
                        row["seed"]: row[name] for row in cell.ours.records if row.get(name) is not None
                    }
                    _put(found, place, cell.loss, name, column)
        return found

    def records(self, artefact: str) -> list[dict]:
        """The finished records behind an artefact; none of the paper's own."""
        own = self.scale == PRINTED
        return [] if own else comparison.records_for(artefact, self.scale, self.folder)


def _put(found: Numbers, place: Place, loss: str, metric: str, values: dict[int, float]) -> None:
    found.setdefault(place, {}).setdefault(loss, {})[metric] = values


def words(place: Place, *more: str) -> str:
    """Such as "cifar100, symmetric 0.4, MAE scale > MAE"."""
    data, noise, rate, stands = place
    noise = f"{noise} {rate:g}" if rate else noise
    return ", ".join([f"{data} ({stands})" if stands else data, noise, *more])


def case(where: str, differences: Iterable[float], least: float = TIE) -> Case:
    """Holds if the difference exceeds `least` in every seed, reversed if it is below 0 in every seed."""
    d = tuple(differences)
    word = REVERSED if all(one < -TIE for one in d) else MIXED
    return Case(where, d, len(d), HOLDS if all(one > least for one in d) else word)


def judge(cases: list[Case], quantifier: str) -> str:
    """The verdict on all cases together: a share of them must hold, or be reversed; "" without any.

    "all": each one; "nearly all": four in five; "some": one that holds, or all reversed.
    """
    if not cases:
        return ""
    needed = SHARES[quantifier]
    shares = {word: sum(one.verdict == word for one in cases) / len(cases) for word in VERDICTS}
    if shares[HOLDS] >= needed and shares[HOLDS]:
        return HOLDS
    return REVERSED if shares[REVERSED] >= (needed or 1) else MIXED


# --- tests --------------------------------------------------------------------------------------------


def anywhere(place: Place) -> bool:
    return True


def at(data: str = "", noise: str = "", rate: float | None = None) -> Callable[[Place], bool]:
    """Places with this data, noise and rate, where one is given."""
    wanted = (data, noise, rate)
    return lambda place: all(not want or want == have for want, have in zip(wanted, place, strict=False))


def ahead(artefact: str, metric: str, ones: list[str], others: list[str], best: bool = False, where=anywhere):
    """A case for each place that has all the others: the largest of `ones` minus the largest of `others`."""

    def test(side: Side) -> list[Case]:
        cases = []
        for place, losses in side.numbers(artefact, best).items():
            mine = [losses[name][metric] for name in ones if metric in losses.get(name, {})]
            theirs = [losses[name][metric] for name in others if metric in losses.get(name, {})]
            if where(place) and mine and len(theirs) == len(others):
                seeds = set.intersection(*map(set, theirs)) & set.union(*map(set, mine))
                top = [
                    max(one[s] for one in mine if s in one) - max(o[s] for o in theirs) for s in sorted(seeds)
                ]
                cases += [case(words(place), top)] if top else []
        return cases

    return test


def above(
    artefact: str, metric: str | Callable, pairs: list[tuple[str, str]], where=anywhere, least: float = TIE
):
    """A case for each place and pair (a, b): a minus b, which must exceed `least`. metric: a name, or a
    function from a loss's metrics to {seed: value}."""
    of, name = (column(metric), [metric]) if isinstance(metric, str) else (metric, [])

    def test(side: Side) -> list[Case]:
        cases = []
        for place, losses in side.numbers(artefact).items():
            for a, b in pairs:
                d = _by_seed(of(losses.get(a, {})), of(losses.get(b, {})))
                if where(place) and d:
                    cases.append(case(words(place, f"{a} > {b}", *name), d, least))
        return cases

    return test


def alike(artefact: str, metric: str, names: list[str], base: str, within: float, where=anywhere):
    """A case for each place and name: it is no further than `within` from the base."""

    def test(side: Side) -> list[Case]:
        cases = []
        for place, losses in side.numbers(artefact).items():
            for name in names:
                d = _by_seed(losses.get(name, {}).get(metric, {}), losses.get(base, {}).get(metric, {}))
                if where(place) and d:
                    cases.append(case(words(place, f"{name} ≈ {base}"), [within - abs(gap) for gap in d]))
        return cases

    return test


def between(one: str, other: str, metric: str, where=anywhere):
    """A case for each place and loss that two tables share, the one minus the other; no stand-ins."""

    def test(side: Side) -> list[Case]:
        first, second = side.numbers(one), side.numbers(other)
        cases = []
        for place, losses in first.items():
            for loss, metrics in losses.items():
                rival = second.get(place, {}).get(loss, {})
                d = _by_seed(metrics.get(metric, {}), rival.get(metric, {}))
                if where(place) and d and not place[3]:
                    cases.append(case(words(place, loss), d))
        return cases

    return test


def _by_seed(a: dict[int, float], b: dict[int, float]) -> list[float]:
    """a - b in the seeds that both have."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


def correlated(artefact: str, x: Callable, y: Callable, least: float, where=anywhere):
    """A case for each place with four losses or more: Spearman's correlation over them, in every seed above
    `least`. x, y: a loss's metrics -> {seed: value}."""

    def test(side: Side) -> list[Case]:
        cases = []
        for place, losses in side.numbers(artefact).items():
            both = {name: (x(metrics), y(metrics)) for name, metrics in losses.items()}
            both = {name: pair for name, pair in both.items() if pair[0] and pair[1]}
            if not where(place) or len(both) < 4:
                continue
            seeds = set.intersection(*(set(one) for pair in both.values() for one in pair))
            frames = [pd.DataFrame([(a[s], b[s]) for a, b in both.values()]) for s in sorted(seeds)]
            rho = [float(frame.corr(method="spearman").iloc[0, 1]) for frame in frames]
            cases += [case(words(place, f"{len(both)} losses"), rho, least)] if rho else []
        return cases

    return test


def column(name: str) -> Callable:
    """The values of one metric."""
    return lambda metrics: metrics.get(name, {})


def minus(one: str, other: str) -> Callable:
    """The difference of two metrics."""

    def values(metrics: dict) -> dict[int, float]:
        a, b = metrics.get(one, {}), metrics.get(other, {})
        return {seed: a[seed] - b[seed] for seed in a.keys() & b.keys()}

    return values


def rises(grids: Callable[[Side], Grids]):
    """A case for each line of grids: the best parameter at the highest rate minus that at the lowest, of the
    values that both have."""

    def test(side: Side) -> list[Case]:
        cases = []
        for line, rates in grids(side).items():
            low, high = rates[min(rates)], rates[max(rates)]
            shared = low.keys() & high.keys() if side.scale != PRINTED else low.keys() | high.keys()
            if len(rates) > 1 and (len(shared) > 2 or side.scale == PRINTED):
                rows = [row for one in (low, high) for value, row in one.items() if value in shared]
                seeds = set.intersection(*map(set, rows))
                d = [_best(high, shared, s) - _best(low, shared, s) for s in sorted(seeds)]
                cases += [case(", ".join(map(str, line)), d)] if d else []
        return cases

    return test


def _best(scores: dict[float, dict[int, float]], values: set[float], seed: int) -> float:
    return max((v for v in sorted(values) if v in scores), key=lambda v: scores[v][seed])


def hs_grids(side: Side) -> Grids:
    """F1 by γ or c: those of HS Table 1, where a printed cell names the best value and no other."""
    grids: Grids = {}
    if side.scale == PRINTED:
        for row in reported.table("HS Table 1"):
            if row.parameter:
                grids.setdefault((row.data, row.loss), {})[row.rate] = {row.value: {0: row.mean}}
        return grids
    for row in side.records("HS Table 1"):
        if row["loss"] in comparison.GRID:
            line = (row["data"], f"{row['images']:,} images", comparison.label("HS", row))
            _grid_put(grids, line, row, row["f1"])
    return grids


def tau_grids(side: Side) -> Grids:
    """Accuracy by τ, a line for each noise and moved loss; clean labels are the rate 0 of every noise."""
    grids: Grids = {}
    if side.scale == PRINTED:
        rows = [row for row in reported.table("CV Table 9") if row.metric == "tau" and row.noise != "human"]
        for row in rows:
            for noise in ("symmetric", "asymmetric") if row.noise == "none" else (row.noise,):
                grids.setdefault((noise, row.loss), {})[row.rate] = {row.mean: {0: 0.0}}
        return grids
    for row in side.records("CV Table 9"):
        noise = comparison.CV_NOISES[row["noise"]]
        for kind in ("symmetric", "asymmetric") if noise == "none" else (noise,):
            if row["move"] and kind != "human":
                _grid_put(grids, (kind, comparison.label("CV", row)), row, row["test_accuracy"])
    return grids


def _grid_put(grids: Grids, line: tuple, row: dict, score: float) -> None:
    values = grids.setdefault(line, {}).setdefault(row["rate"], {})
    values.setdefault(comparison.value_of(row), {})[row["seed"]] = score


def delays(statement: Callable[[dict[int, dict[float, float]]], float | None], least: float = TIE):
    """A case for each set of images and noise rate of HS Fig. 11: the statement's number of one seed's F1,
    {delay: {c: F1}}; None where it lacks a delay."""

    def test(side: Side) -> list[Case]:
        curves: dict[tuple, dict[int, dict[int, dict[float, float]]]] = {}
        for row in side.records("HS Fig. 11"):
            of = curves.setdefault((row["data"], row["rate"]), {}).setdefault(row["seed"], {})
            of.setdefault(row["delay"], {})[row["loss_c"]] = row["f1"]
        cases = []
        for (data, rate), seeds in sorted(curves.items()):
            found = [statement(seeds[seed]) for seed in sorted(seeds)]
            if found and None not in found:
                cases.append(case(f"{data}, uniform {rate:g}", found, least))
        return cases

    return test


def gain_of_one_epoch(by_delay: dict[int, dict[float, float]]) -> float | None:
    """The best F1 over c with a delay of 1 minus that without."""
    return max(by_delay[1].values()) - max(by_delay[0].values()) if {0, 1} <= by_delay.keys() else None


def lead_of_one_epoch(by_delay: dict[int, dict[float, float]]) -> float | None:
    """The best F1 over c with a delay of 1 minus the best with any other delay."""
    others = [max(scores.values()) for delay, scores in by_delay.items() if delay != 1]
    return max(by_delay[1].values()) - max(others) if 1 in by_delay and others else None


def falls(loss: str, rates: str):
    """A case for each noise rate and learning rate of CV Fig. 4, rates "fitted": how far the last accuracy
    lies below the best, minus FALL, where every seed agrees with FITTED of the labels trained on. For rates
    "outer" the lowest and the highest, which must not fall."""

    def test(side: Side) -> list[Case]:
        runs: dict[float, dict[float, list[tuple[float, float]]]] = {}
        for row in side.records("CV Fig. 4"):
            if row["loss"] == loss:
                fall = max(row["test_accuracy_curve"]) - row["test_accuracy_curve"][-1]
                by_rate = runs.setdefault(row["rate"], {})
                by_rate.setdefault(row["recipe_lr"], []).append((fall, row["train_accuracy"]))
        cases = []
        for eta, by_rate in sorted(runs.items()):
            fitted = {lr for lr, ends in by_rate.items() if min(share for _, share in ends) >= FITTED}
            outer = {min(by_rate), max(by_rate)} if len(by_rate) > 2 else set()
            for lr in sorted(fitted if rates == "fitted" else outer):
                sign = 1 if rates == "fitted" else -1
                drops = [sign * (fall - FALL) for fall, _ in by_rate[lr]]
                cases.append(case(f"mnist, symmetric {eta:g}, learning rate {lr:g}", drops))
        return cases

    return test


def both(*tests: Test) -> Test:
    """The cases of several tests together."""
    return lambda side: list(itertools.chain.from_iterable(test(side) for test in tests))


def formula(check: Callable[[], bool]) -> Test:
    """A statement without training: one case of the printed side, by computation."""

    def test(side: Side) -> list[Case]:
        return [Case("computed", (), 0, HOLDS if check() else REVERSED)] if side.scale == PRINTED else []

    return test


def evidence(cases: list[Case]) -> str:
    """Such as "12 of 16 hold, 1 mixed, 3 reversed; 1 to 5 seeds"; the paper's own numbers have no seeds."""
    counts = {word: sum(one.verdict == word for one in cases) for word in VERDICTS}
    others = "".join(f", {counts[word]} {word}" for word in VERDICTS[1:] if counts[word])
    seeds = sorted({one.seeds for one in cases})
    many = f"; {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seed{'s' * (seeds[-1] > 1)}"
    return f"{counts[HOLDS]} of {len(cases)} hold{others}" + many * (seeds[-1] > 0)
