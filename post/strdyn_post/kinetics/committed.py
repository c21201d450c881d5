"""Committed moves: those to an environment in which the atom then stays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strdyn_post.limits import LONGEST_COMMITTED, STILL_UNDONE

__all__ = ["Commitment", "commit", "find_commitment", "share_of_short_visits"]

_SOON = 4  # frames

Int = NDArray[np.int64]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Commitment:
    """For how many frames an atom must stay before it counts as committed.

    Attributes
    ----------
    frames : int
        m. At 1, every move is committed.
    left, chance : (n_clusters,) float64 ndarray
        Share of the visits of m frames or more that are still recrossings, and two standard errors
        of it. Above `STILL_UNDONE` if the largest m that the run allows is too small.
    undone : (n,) float64 ndarray
        Share of the moves that the atom undoes within 1, 2, … frames: it goes back to where it
        came from. NaN without moves.
    """

    frames: int
    left: NDArray[np.float64]
    chance: NDArray[np.float64]
    undone: NDArray[np.float64]


@dataclass(frozen=True)
class _Visits:
    """Visits: successive observations of one atom in one environment, by atom, then in time.

    Attributes
    ----------
    start, length : (n_visits,) int64 ndarray
        First observation, as an index of the flattened (n_atoms, n_frames) labels; frames.
    label : (n_visits,) int64 ndarray
        Environment; negative is noise.
    first, last : (n_visits,) bool ndarray
        Whether a gap, noise or an end of the recording comes before, or after.
    room : (n_visits,) int64 ndarray
        Frames from the start of the visit to the end of its gapless path.
    """

    start: Int
    length: Int
    label: Int
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    room: Int

    @classmethod
    def of(cls, labels: Labels, stretches: Int) -> _Visits:
        paths = labels.T
        breaks = np.ones(paths.shape, np.bool_)
        breaks[:, 1:] = np.diff(stretches) != 0
        breaks[:, 1:] |= (paths[:, 1:] < 0) != (paths[:, :-1] < 0)
        begins = breaks.copy()
        begins[:, 1:] |= paths[:, 1:] != paths[:, :-1]
        start = np.flatnonzero(begins)
        first = breaks.ravel()[start]
        ends = np.append(start[1:], paths.size)
        path_ends = np.append(start[first][1:], paths.size)
        return cls(
            start=start,
            length=ends - start,
            label=paths.ravel()[start].astype(np.int64),
            first=first,
            last=np.append(first[1:], np.ones(min(1, len(first)), np.bool_)),
            room=path_ends[np.cumsum(first) - 1] - start,
        )


def commit(labels: Labels, frames: int, stretches: Int) -> Labels:
    """Give every observation to the environment to which its atom is committed.

    An atom commits to an environment when it stays there for `frames` frames. It keeps to it until
    it commits to another one: visits that are shorter belong to the last committed environment
    (core sets in time: Buchete, Hummer, J. Phys. Chem. B 112, 6057 (2008); Schütte et al., J.
    Chem. Phys. 134, 204105 (2011)).

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Environments, noise negative. Noise of fewer than `frames` frames is a part of the visit
        before it.
    frames : int
        m, 1 or more.
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.

    Returns
    -------
    (n_frames, n_atoms) int32 ndarray
        Negative where it is not known: before the first commitment, in noise, and in the first and
        last m − 1 frames of every gapless path. There, short visits cannot be told from visits
        that are cut off; to keep only the long ones would make stays too long.

    Examples
    --------
    The single frame in environment 1 is a recrossing, the four frames are a move.

    >>> labels = np.array([[0, 0, 0, 1, 0, 0, 1, 1, 1, 1]], dtype=np.int32).T
    >>> commit(labels, 2, np.zeros(10, np.int64)).ravel()
    array([-1,  0,  0,  0,  0,  0,  1,  1,  1, -1], dtype=int32)
    """
    if frames == 1:
        return labels
    found = _Visits.of(_without_short_noise(labels, frames, stretches), stretches)
    rank = np.arange(len(found.start))
    path = np.maximum.accumulate(np.where(found.first, rank, 0))  # first visit of the same path
    firm = np.maximum.accumulate(np.where(found.length >= frames, rank, -1))
    kept = np.where(firm >= path, found.label[firm], -1)
    committed = np.repeat(kept, found.length)
    since = np.arange(committed.size) - np.repeat(found.start[path], found.length)
    until = np.repeat(found.room[path], found.length) - since
    committed[(since < frames - 1) | (until < frames)] = -1
    return committed.reshape(labels.shape[::-1]).T.astype(np.int32)


def _without_short_noise(labels: Labels, frames: int, stretches: Int) -> Labels:
    """Give noise of fewer than `frames` frames to the visit before it."""
    found = _Visits.of(labels, stretches)
    before = np.append(-1, found.label[:-1])
    # not across a gap, and not from the atom before
    n_frames = len(labels)
    frame = found.start % n_frames
    joined = (frame > 0) & (np.diff(stretches, prepend=stretches[:1])[frame] == 0)
    short = (found.label < 0) & (found.length < frames) & joined
    filled = np.repeat(np.where(short, before, found.label), found.length)
    return filled.reshape(labels.shape[::-1]).T.astype(np.int32)


def find_commitment(labels: Labels, n_clusters: int, stretches: Int) -> Commitment:
    """Choose m: from m frames on, visits end as rarely as later ones.

    The probability that a visit ends in its next frame does not depend on its age if moves have no
    memory; then m is 1. After a recrossing it is larger at first. m is the smallest age at which,
    for every environment, at most `STILL_UNDONE` of the visits end within the next m frames (or
    4, if m is less) beyond the number that the probability at later ages gives, and beyond chance.

    Parameters
    ----------
    labels : (n_frames, n_atoms) int32 ndarray
        Environments, noise negative.
    n_clusters : int
        Number of environments.
    stretches : (n_frames,) int64 ndarray
        Gapless stretches.

    Returns
    -------
    Commitment
        m is at most `LONGEST_COMMITTED`, and a tenth of the longest gapless stretch.
    """
    found = _Visits.of(labels, stretches)
    inside = found.label >= 0
    whole = inside & ~found.last
    size = len(labels) + 2
    # visits that are cut off are seen to survive all their frames but the last
    seen = found.length - found.last
    longest_stretch = int(np.bincount(stretches - stretches.min()).max())
    most = min(LONGEST_COMMITTED, max(2, longest_stretch // 10))

    def by_age(chosen: NDArray[np.bool_], ages: Int) -> Int:
        index = found.label[chosen] * size + ages[chosen]
        return np.bincount(index, minlength=n_clusters * size).reshape(n_clusters, size)

    def from_age(counts: Int) -> Int:
        """Sum over this age and all later ones; age 0 first."""
        return counts[:, ::-1].cumsum(axis=1)[:, ::-1]

    entered = inside & ~found.first
    ended, at_risk = by_age(entered & whole, seen), from_age(by_age(entered, seen))
    late_ended = from_age(by_age(whole, seen))
    late_at_risk = from_age(from_age(by_age(inside, seen)))
    for m in range(1, most + 1):
        later = min(m + max(m, _SOON), size - 1)
        now = slice(m, later)
        n_late, time_late = late_ended[:, later], np.maximum(1, late_at_risk[:, later])
        n_visits, n_ended = np.maximum(1, at_risk[:, m]), ended[:, now].sum(axis=1)
        time = at_risk[:, now].sum(axis=1)
        excess = (n_ended - n_late / time_late * time) / n_visits
        variance = n_ended + 1.0 + (n_late + 1.0) * (time / time_late) ** 2
        known = late_at_risk[:, later] > 0  # else no later visit tells what is usual
        excess = np.where(known, excess, 0.0)
        chance = np.where(known, np.minimum(1.0, 2.0 * np.sqrt(variance) / n_visits), 1.0)
        if (excess <= STILL_UNDONE + chance).all():
            break
    return Commitment(m, excess, chance, _undone(found, most))


def _undone(found: _Visits, longest: int) -> NDArray[np.float64]:
    """Return the share of the moves that are undone within 1, 2, … frames."""
    moves = np.flatnonzero(~found.first & (found.label >= 0) & (found.room > longest))
    if not len(moves):
        return np.full(longest, np.nan)
    back = ~found.last[moves]
    back[back] = found.label[moves[back] + 1] == found.label[moves[back] - 1]
    after = np.bincount(np.minimum(found.length[moves], longest + 1), back, longest + 2)
    return np.asarray(after.cumsum()[1 : longest + 1] / len(moves), dtype=np.float64)


def share_of_short_visits(
    labels: Labels, n_clusters: int, frames: int, stretches: Int
) -> NDArray[np.float64]:
    """Return the share of the observations of every environment in visits shorter than `frames`.

    Visits that are cut off before they last as long are left out. NaN where nothing is left.
    """
    found = _Visits.of(labels, stretches)
    long = found.length >= frames
    known = (found.label >= 0) & (long | ~(found.first | found.last))

    def observations(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(found.label[chosen], found.length[chosen], n_clusters))

    total = observations(known)
    nothing = np.full(n_clusters, np.nan)
    share = np.divide(observations(known & ~long), total, out=nothing, where=total > 0)
    return np.asarray(share)
