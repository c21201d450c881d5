"""Coverage, false alarms and power of the checks of the kinetics, on model recordings.

``python tests/post/known/trials.py`` runs all of them and writes docs/explanation/coverage.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from known.models import (  # noqa: E402
    FLIP,
    RARE,
    RATES,
    SELDOM,
    SLOW,
    Labels,
    breathing,
    chain,
    doubling,
    drawn_anew,
    recrossing,
    relaxing,
    smoothed_flip,
    smoothed_noise,
    two_levels,
    vibration,
    wandering,
)
from known.stays import stays_of_delta, stays_of_labels  # noqa: E402

from strdyn_post.kinetics.stays import RESOLVED, Stays  # noqa: E402
from strdyn_post.kinetics.uncertainty import (  # noqa: E402
    flux_balance,
    stationarity,
    transition_intervals,
)
from strdyn_post.limits import CHANGE, CLEAR  # noqa: E402


@dataclass(frozen=True)
class Model:
    """A model recording; of which move the true probability is known."""

    name: str
    labels: Callable[[int], Labels]
    n_clusters: int = 2
    move: tuple[int, int] = (0, 1)
    truth: float = FLIP


def _chain(name: str, matrix: np.ndarray, move: tuple[int, int], together: int = 1) -> Model:
    return Model(
        name,
        lambda seed: chain(seed, matrix, together=together),
        len(matrix),
        move,
        float(matrix[move]),
    )


COVERED = (
    _chain("independent atoms", RATES, (0, 1)),
    _chain("independent atoms, 1 % a frame", RATES, (1, 2)),
    _chain("rare events (2 in a run)", RARE, (0, 2)),
    Model("smoothed noise", smoothed_noise, truth=smoothed_flip()),
    Model(
        "heterogeneous atoms, global rate held for 5 frames",
        lambda seed: breathing(seed, 5, alike=False),
    ),
    Model("global rate held for 5 frames", lambda seed: breathing(seed, 5)),
    Model("global rate held for 20 frames", lambda seed: breathing(seed, 20)),
    Model("global rate, exponential memory of 5 frames", lambda seed: wandering(seed, 5)),
    Model("global rate, exponential memory of 10 frames", lambda seed: wandering(seed, 10)),
    Model("global rate, exponential memory of 20 frames", lambda seed: wandering(seed, 20)),
    _chain("5 atoms move together", RATES, (0, 1), 5),
    _chain("10 atoms move together", RATES, (0, 1), 10),
    _chain("10 atoms move together, 1 % a frame", RATES, (1, 2), 10),
    _chain("5 atoms move together, rare (2 in a run)", SELDOM, (0, 2), 5),
    _chain("10 atoms move together, rare (1 in a run)", SELDOM, (0, 2), 10),
)
UNDECIDED = Model("global rate held for 100 frames", lambda seed: breathing(seed, 100))

STILL = (
    _chain("independent atoms", RATES, (0, 1)),
    _chain("10 atoms move together", RATES, (0, 1), 10),
    _chain("atoms stay for half of the run", SLOW, (0, 1)),
    _chain("10 atoms move together, and stay for half of the run", SLOW, (0, 1), 10),
    Model("global rate held for 20 frames", lambda seed: breathing(seed, 20)),
    Model("one atom", lambda seed: chain(seed, n_atoms=1), 3),
    Model("two atoms", lambda seed: chain(seed, n_atoms=2), 3),
    Model(
        "900 atoms, 500 frames, a share of 1 %",
        lambda seed: drawn_anew(seed, np.full(500, 0.01), 900),
    ),
)
MOVING = (
    Model("300 atoms, a share grows from 19 to 78 %", relaxing),
    Model("100 atoms, a share grows from 19 to 78 %", lambda seed: relaxing(seed, n_atoms=100)),
    Model("900 atoms, 500 frames, a share doubles from 1 to 2 %", doubling),
    Model(
        "4000 atoms, 500 frames, a share doubles from 1 to 2 %",
        lambda seed: doubling(seed, n_atoms=4000),
    ),
)


@dataclass(frozen=True)
class Staying:
    """A model recording of which the true mean stay in environment 0 is known, or NaN."""

    name: str
    stays: Callable[[int], Stays]
    truth: float = float("nan")


STAYING = (
    Staying(
        "recrossings: 2 of 1000 frames", lambda seed: stays_of_labels(recrossing(seed)), 20_000
    ),
    Staying("no recrossings, 20 frames", lambda seed: stays_of_labels(chain(seed)), 20),
    Staying("no recrossings, 100 frames", lambda seed: stays_of_labels(chain(seed, SLOW)), 100),
    Staying("two levels of δ, window 9", lambda seed: stays_of_delta(two_levels(seed), 0.23), 60),
    Staying("white noise as δ, window 9", lambda seed: stays_of_delta(vibration(seed), 0.08)),
    Staying(
        "white noise as δ, no smoothing", lambda seed: stays_of_delta(vibration(seed), 0.08, 1)
    ),
)


@dataclass(frozen=True)
class Stayed:
    """Of stays in many runs: medians, coverage, and shares of runs that say something."""

    name: str
    n_runs: int
    truth: float
    raw: float
    mean: float
    covers: float
    resolved: float
    rates: float


def staying(model: Staying, seeds: Iterable[int]) -> Stayed:
    """Find how often the interval of the committed stay holds the true one."""
    found = [model.stays(seed) for seed in seeds]
    raw, mean, low, high = (
        np.array([getattr(each, part)[0] for each in found])
        for part in ("raw", "mean", "mean_low", "mean_high")
    )
    known = np.isfinite(model.truth)
    return Stayed(
        name=model.name,
        n_runs=len(found),
        truth=model.truth,
        raw=float(np.median(raw)),
        mean=float(np.median(mean)),
        covers=float(((low <= model.truth) & (model.truth <= high)).mean()) if known else np.nan,
        resolved=float(np.mean([each.verdicts[0] == RESOLVED for each in found])),
        rates=float(np.mean([each.rates for each in found])),
    )


@dataclass(frozen=True)
class Coverage:
    """Of intervals in many runs: shares that hold the truth, that are called unknown, and so on."""

    name: str
    n_runs: int
    covers: float
    slow: float
    width: float
    n_unseen: int
    covers_unseen: float


def coverage(model: Model, seeds: Iterable[int]) -> Coverage:
    """Find how often the interval of the move holds its true probability."""
    inside, slow, unseen, widths = [], [], [], []
    for seed in seeds:
        found = transition_intervals(model.labels(seed), model.n_clusters)
        low, high = found.low[model.move], found.high[model.move]
        inside.append(low <= model.truth <= high)
        slow.append(found.slow[model.move])
        unseen.append(found.events[model.move] == 0)
        widths.append((high - low) / model.truth)
    of_unseen = np.array(inside)[np.array(unseen)]
    return Coverage(
        name=model.name,
        n_runs=len(inside),
        covers=float(np.mean(inside)),
        slow=float(np.mean(slow)),
        width=float(np.median(widths)),
        n_unseen=len(of_unseen),
        covers_unseen=float(np.mean(of_unseen)) if len(of_unseen) else float("nan"),
    )


@dataclass(frozen=True)
class Alarms:
    """Of checks in many runs: shares that raise an alarm, and what they would have seen."""

    name: str
    n_runs: int
    balance: float
    drift: float
    seen_excess: float
    seen_change: float


def alarms(model: Model, seeds: Iterable[int]) -> Alarms:
    """Find how often the checks of balance and of drift raise an alarm."""
    unbalanced, drifts, excess, change = [], [], [], []
    for seed in seeds:
        labels = model.labels(seed)
        balance = flux_balance(labels, model.n_clusters)
        halves = stationarity(labels, model.n_clusters)
        much = np.abs(halves.late - halves.early) > CHANGE * np.maximum(halves.late, halves.early)
        unbalanced.append((balance.excess > CLEAR).any())
        drifts.append((much & (np.abs(halves.drift) > CLEAR)).any())
        excess.append(balance.smallest[0, 1])
        change.append(halves.smallest[1])
    return Alarms(
        name=model.name,
        n_runs=len(drifts),
        balance=float(np.mean(unbalanced)),
        drift=float(np.mean(drifts)),
        seen_excess=float(np.median(excess)),
        seen_change=float(np.median(change)),
    )


TEXT = """\
# Do the intervals and checks hold?

This page is written by `python tests/post/known/trials.py`. Each row is a model of which the truth
is known (`tests/post/known/models.py`), run with many seeds. If nothing else is said, a run has 200
frames of 100 atoms.

## Coverage

How often the 95 % interval of a transition probability holds the true value. *Cannot tell*: the
report says that the rate changes over times as long as the run. *Width*: of the interval, divided
by the true value (median). *Never seen*: runs in which the move does not occur, and how often
their interval holds the true value.

| model | runs | holds the truth | cannot tell | width | never seen | of them holds the truth |
|---|---|---|---|---|---|---|
{covered}

In the last row the run has two or three independent rates. Nothing can tell them from a steady
rate if they happen to be alike.

## Stays

Mean stays in the first environment [frames]: the true one, the medians of the one by all moves and
of the committed one; how often the 95 % interval of the committed stay holds the true one; how
often the stay is called resolved, and how often the probabilities are called rates. White noise has
no stays: resolved is a false alarm. If a run has few moves, it often cannot tell.

| model | runs | true stay | by all moves | committed | holds the truth | resolved | rates |
|---|---|---|---|---|---|---|---|
{stays}

## False alarms

How often a run that is stationary is called unbalanced or drifting, and the smallest effect that
the check says it would have seen (median): a surplus of one way as a share of the moves, and a
change of a share.

| model | runs | balance: alarms | seen from | drift: alarms | seen from |
|---|---|---|---|---|---|
{still}

## Power

How often a run that is not stationary is found.

| model | runs | balance: found | seen from | drift: found | seen from |
|---|---|---|---|---|---|
{moving}
"""


def _percent(value: float) -> str:
    return f"{100.0 * value:.3g} %" if np.isfinite(value) and value <= 1.0 else "–"


def _row_of_alarms(row: Alarms) -> str:
    return (
        f"| {row.name} | {row.n_runs} | {row.balance:.3f} | {_percent(row.seen_excess)} "
        f"| {row.drift:.3f} | {_percent(row.seen_change)} |"
    )


def _row_of_coverage(row: Coverage) -> str:
    unseen = f"{row.covers_unseen:.3f}" if row.n_unseen else "–"
    return (
        f"| {row.name} | {row.n_runs} | {row.covers:.3f} | {row.slow:.2f} | {row.width:.2f} "
        f"| {row.n_unseen} | {unseen} |"
    )


def _row_of_stays(row: Stayed) -> str:
    truth = f"{row.truth:,.0f}" if np.isfinite(row.truth) else "–"
    covers = f"{row.covers:.3f}" if np.isfinite(row.covers) else "–"
    return (
        f"| {row.name} | {row.n_runs} | {truth} | {row.raw:,.3g} | {_whole(row.mean)} | {covers} "
        f"| {row.resolved:.3f} | {row.rates:.3f} |"
    )


def _whole(value: float) -> str:
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def main(n_runs: int = 1000) -> None:
    """Run everything, print the tables as they grow, write the page."""
    tables: dict[str, list[str]] = {name: [] for name in ("covered", "stays", "still", "moving")}

    def add(table: str, row: str) -> None:
        tables[table].append(row)
        print(row, flush=True)

    for model in (*COVERED, UNDECIDED):
        add("covered", _row_of_coverage(coverage(model, range(n_runs))))
    for model in STAYING:
        add("stays", _row_of_stays(staying(model, range(n_runs // 5))))
    for table, models in (("still", STILL), ("moving", MOVING)):
        for model in models:
            n_seeds = n_runs // 10 if "500 frames" in model.name else n_runs // 2
            add(table, _row_of_alarms(alarms(model, range(n_seeds))))
    page = HERE.parents[2] / "docs" / "explanation" / "coverage.md"
    page.write_text(TEXT.format(**{name: "\n".join(rows) for name, rows in tables.items()}))


if __name__ == "__main__":
    main()
