"""How much structure foretells: events predicted from the scores of SOAP before them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.findings import RESULT, UNKNOWN, Finding
from strdyn_post.limits import CONFIDENCE, FEW_EVENTS
from strdyn_post.signal.events import Events
from strdyn_post.signal.frames import Frames

from .event_model import EventModel

__all__ = [
    "MOST_LIKELY",
    "Foretelling",
    "fit_events",
    "fold_interval",
    "foretell",
    "judge_foretelling",
]

MOST_LIKELY = 0.05
"""Share of the observations that counts as those with the highest prediction."""
_BINS = 8
# halves of run and atoms; from behind: the other half of both
_QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Foretelling:
    """Events between the frames k and k + 1, predicted from the structure at frame k.

    A logistic regression learns from half of the atoms in one half of the run, and is tested on the
    other atoms in the other half: four folds, with a number for each.

    Attributes
    ----------
    auc : (4,) float64 ndarray
        Probability that an observation with an event has a larger prediction than one without: 0.5
        by chance, 1 at best.
    information : (4,) float64 ndarray
        Share of the log-likelihood of the events, beyond that of their mean rate, that the
        prediction explains: 0 for the mean rate, 1 at best, below 0 if it is worse.
    most_likely : (4,) float64 ndarray
        Share of the events in the `MOST_LIKELY` observations with the highest prediction.
    environment_auc, environment_information : (4,) float64 ndarray
        The same if only the environment of SOAP is known.
    shuffled_auc : (4,) float64 ndarray
        The same if the events of each atom are shuffled in time: what remains is where an atom is
        during the whole run.
    predicted, observed : (n_bins,) float64 ndarray
        Calibration: mean prediction, and share of the observations with an event, in bins by
        prediction that hold equally many predicted events.
    """

    auc: Float
    information: Float
    most_likely: Float
    environment_auc: Float
    environment_information: Float
    shuffled_auc: Float
    predicted: Float
    observed: Float


def fit_events(
    events: Events, frames: Frames, scores: NDArray[np.float32], seed: int
) -> EventModel | None:
    """Learn from all atoms and frames how structure foretells the events after it.

    Parameters
    ----------
    events, frames, scores, seed
        As of `foretell`.

    Returns
    -------
    EventModel or None
        None if there are fewer than 10 events.
    """
    rows = np.searchsorted(events.frames.steps, frames.steps)
    known = events.known[rows]
    happened = events.happened[rows][known]
    if happened.sum() < FEW_EVENTS:
        return None
    interval, rng = events.frames.spacing, np.random.default_rng(seed)
    return EventModel.fit(_rows(scores[known]), happened.ravel(), interval, rng)


def foretell(
    events: Events,
    frames: Frames,
    scores: NDArray[np.float32],
    environments: tuple[NDArray[np.int32], int],
    seed: int,
) -> Foretelling | None:
    """Predict the events from the structure before them.

    Parameters
    ----------
    events : Events
        Of all frames.
    frames : Frames
        Those of the scores, some of the frames of `events`.
    scores : (n_frames, n_atoms, n_components) float32 ndarray
        Scores of SOAP.
    environments : ((n_frames, n_atoms) int32 ndarray, int)
        Environment of every observation, negative where there is none, and their number.
    seed : int
        Seed of the choice of the atoms, and of the shuffled times.

    Returns
    -------
    Foretelling or None
        None if some quarter (half of the atoms, half of the run) has fewer than 10 events.
    """
    rows = np.searchsorted(events.frames.steps, frames.steps)
    known = events.known[rows]
    happened, scores, labels = events.happened[rows][known], scores[known], environments[0][known]
    rng = np.random.default_rng(seed)
    n_frames, n_atoms = happened.shape
    late = np.arange(n_frames) * 2 // max(1, n_frames)
    half = rng.permutation(n_atoms) % 2
    quarters = [(np.flatnonzero(late == a), np.flatnonzero(half == b)) for a, b in _QUARTERS]
    if min(int(happened[np.ix_(*each)].sum()) for each in quarters) < FEW_EVENTS:
        return None
    shuffled, interval = rng.permuted(happened, axis=0), events.frames.spacing
    found: dict[str, list[float]] = {item.name: [] for item in fields(Foretelling)[:6]}
    tested: list[tuple[Float, Bool]] = []
    for learnt, test in zip(quarters, reversed(quarters), strict=True):
        there, seen = np.ix_(*learnt), np.ix_(*test)
        x, unseen, truth = _rows(scores[there]), _rows(scores[seen]), happened[seen].ravel()
        mean = happened[there].mean()
        by_score = EventModel.fit(x, happened[there].ravel(), interval, rng).probability(unseen)
        n = np.bincount(labels[there].ravel() + 1, minlength=environments[1] + 1)
        hit = np.bincount(labels[there][happened[there]] + 1, minlength=environments[1] + 1)
        by_environment = ((hit + mean) / (n + 1.0))[labels[seen].ravel() + 1]
        by_shuffled = EventModel.fit(x, shuffled[there].ravel(), interval, rng).probability(unseen)
        top = np.argsort(-by_score, kind="stable")[: max(1, round(MOST_LIKELY * len(truth)))]
        for name, value in (
            ("auc", _auc(truth, by_score)),
            ("information", _information(truth, by_score, mean)),
            ("most_likely", float(truth[top].sum() / truth.sum())),
            ("environment_auc", _auc(truth, by_environment)),
            ("environment_information", _information(truth, by_environment, mean)),
            ("shuffled_auc", _auc(shuffled[seen].ravel(), by_shuffled)),
        ):
            found[name].append(value)
        tested.append((by_score, truth))
    predicted, observed = _calibration(
        *(np.concatenate(each) for each in zip(*tested, strict=True))
    )
    numbers = {name: np.array(values) for name, values in found.items()}
    return Foretelling(**numbers, predicted=predicted, observed=observed)


def judge_foretelling(found: Foretelling | None) -> Finding:
    """Say how much structure foretells: a result if both AUC and information are above chance."""
    if found is None:
        return Finding("foretelling", UNKNOWN, values={"few": FEW_EVENTS})
    values: dict[str, Any] = {
        item.name: dict(
            zip(("mean", "low", "high"), fold_interval(getattr(found, item.name)), strict=True)
        )
        for item in fields(found)[:6]
    }
    above = values["auc"]["low"] > 0.5 and values["information"]["low"] > 0.0
    severity = RESULT if above else UNKNOWN
    return Finding("foretelling", severity, values={**values, "most_likely_share": MOST_LIKELY})


def fold_interval(values: Float) -> tuple[float, float, float]:
    """Return the mean over folds and its 95 % confidence interval (Student's law)."""
    from scipy.stats import t

    mean, n = float(values.mean()), len(values)
    error = float(t.ppf((1.0 + CONFIDENCE) / 2.0, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return mean, mean - error, min(1.0, mean + error)


def _rows(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores.reshape(-1, scores.shape[-1])


def _auc(truth: Bool, predicted: Float) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, predicted)) if truth.any() and not truth.all() else 0.5


def _information(truth: Bool, predicted: Float, mean: float) -> float:
    """Return the share of the log-likelihood beyond that of the mean rate that is explained."""

    def loss(probability: Float) -> float:
        inside = np.clip(probability, 1e-12, 1.0 - 1e-12)
        return float(-np.where(truth, np.log(inside), np.log1p(-inside)).mean())

    return 1.0 - loss(predicted) / loss(np.full(truth.shape, mean))


def _calibration(predicted: Float, truth: Bool) -> tuple[Float, Float]:
    """Return mean prediction and share of events in bins of equally many predicted events."""
    order = np.argsort(predicted, kind="stable")
    mass = np.cumsum(predicted[order])
    part = np.minimum(_BINS - 1, (mass / mass[-1] * _BINS).astype(np.int64))
    n = np.bincount(part, minlength=_BINS)
    kept = n > 0
    found = (np.bincount(part, each[order], _BINS)[kept] / n[kept] for each in (predicted, truth))
    return next(found), next(found)
