"""What δ adds, against chance: SOAP&LENS clustered again with a δ that means nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.kinetics.enrichment import Sites
from strdyn_post.kinetics.surroundings import Surroundings
from strdyn_post.limits import CLEAR, COMPARABLE, ENRICHED, SAME

__all__ = ["CASES", "CHANCE", "REFERENCE", "Nulls"]

Float = NDArray[np.float64]

REFERENCE = "as_it_is"
"""The case that must find an environment again, or the others say nothing about it."""

CASES = {
    REFERENCE: "as it is",
    "shuffled": "δ shuffled over all observations",
    "shuffled_in_time": "δ of each atom shuffled in time",
    "noise": "noise instead of δ",
    "jitter": "no δ; SOAP jittered by 0.1 %",
    "one_fewer": "one component fewer",
    "one_more": "one component more",
    "half_of_atoms": "half of the atoms",
}
"""Every case, and what a reader is told."""

CHANCE = ("shuffled", "noise", "jitter")
"""The cases in which δ does not belong to the observations."""


@dataclass(frozen=True, kw_only=True)
class Nulls:
    """Runs of the clustering on a part of the observations, with the true and with other δ.

    Attributes
    ----------
    cases : tuple of str
        The case of every run: one of `CASES`; those with random numbers occur several times.
    overlap : (n_runs, n_environments) float64 ndarray
        Overlap 2|A ∩ B| / (|A| + |B|) of each environment of SOAP&LENS with its counterpart in the
        run (see `match_labels`).
    fast : (n_environments,) bool ndarray
        Whether the environment is fast (see `fast_environments`).
    shares : (n_environments,) float64 ndarray
        Share of the environment in the rows taken.
    fast_share : (n_runs,) float64 ndarray
        Share of the rows in fast environments of the run.
    sites : (n_runs, n_of_soap) float64 ndarray
        Their shares in the environments of SOAP; 0 if nothing is fast.
    n_rows, n_all : int
        Rows taken, and all rows.
    min_cluster_size : int
        Smallest cluster of HDBSCAN* among these rows.
    surroundings : Surroundings or None
        Whether the new environments are places in space; None in results of earlier versions.
    """

    cases: tuple[str, ...]
    overlap: Float
    fast: NDArray[np.bool_]
    shares: Float
    fast_share: Float
    sites: Float
    n_rows: int
    n_all: int
    min_cluster_size: int
    surroundings: Surroundings | None = None

    def runs(self, case: str) -> NDArray[np.bool_]:
        """Return which runs are of a case, (n_runs,)."""
        return np.array([each == case for each in self.cases], dtype=np.bool_)

    def same(self, label: int, cases: Iterable[str]) -> NDArray[np.bool_]:
        """Return whether each run of some cases has the same environment, by its rows."""
        runs = np.isin(self.cases, list(cases))
        return np.asarray(self.overlap[runs, label] >= SAME)

    def alike(self, label: int, cases: Iterable[str]) -> NDArray[np.bool_]:
        """Return whether each run has the same environment, or fast rows as many as a fast one."""
        runs = np.isin(self.cases, list(cases))
        found = self.same(label, cases)
        if self.fast[label]:
            found |= self.fast_share[runs] >= COMPARABLE * self.shares[label]
        return np.asarray(found)

    def place(self, case: str) -> Float:
        """Return the share of each environment of SOAP in the fast rows of a case, (n_of_soap,)."""
        runs = self.runs(case)
        rows = (self.fast_share[runs, None] * self.sites[runs]).sum(axis=0)
        return np.asarray(rows / max(1e-300, rows.sum()))

    def verdict(self, label: int, own: Sites, fast: Sites, tail: Sites) -> dict[str, Any]:
        """Judge whether δ makes an environment.

        Parameters
        ----------
        label : int
            Final label of an environment of SOAP&LENS that SOAP alone does not have.
        own, fast, tail : Sites
            Where in SOAP its rows are, those of all fast environments, and all rows with a δ as
            large as these.

        Returns
        -------
        dict
            ``verdict``: "evidence", "not_from_delta", "by_chance" or "cannot_tell", and its
            ``reason``; ``recovered``: for each case, how many of its runs have the environment, and
            the number of runs; ``place``: label of the environment of SOAP that holds more of a
            fast one than chance explains; ``shuffled_sites``: the share of each environment of SOAP
            in fast rows if δ is shuffled; ``surroundings``: as of `Surroundings`, or None;
            ``n_taken``, ``n_all``: rows of the runs, and all rows.
        """
        place, unsure = None, False
        if self.fast[label]:
            place, unsure = self._place(own, fast, tail)
        verdict, reason = self._judge(label, place, unsure=unsure)
        return {
            "verdict": verdict,
            "reason": reason,
            "place": place,
            "shuffled_sites": self.place("shuffled").tolist() if self.fast[label] else None,
            "surroundings": self._surroundings(label),
            "n_taken": self.n_rows,
            "n_all": self.n_all,
            "recovered": {
                case: [int(found.sum()), len(found)]
                for case in CASES
                if len(found := self.alike(label, [case]))
            },
        }

    def _place(self, own: Sites, fast: Sites, tail: Sites) -> tuple[int | None, bool]:
        """Return the environment of SOAP that holds more of the rows than chance explains.

        Also return whether one may do so, but with too few independent rows to be sure.

        A tail of δ that is anywhere may break into one fast environment for each structure, and
        each of these lies in one environment of SOAP. So all fast environments are judged
        together. Clustering loses the fast rows of some structures, so the rows of large δ, which
        need no clusters, must be enriched, too. If δ is shuffled they lie as all rows do.
        """
        chance = own.expected
        here = own.shares > chance
        enriched = here & (_clear(fast) > chance) & (_clear(tail) > chance)
        perhaps = here & (
            ((fast.low > chance) & (tail.low > chance))
            | (np.minimum(fast.shares, tail.shares) > ENRICHED * chance)
        )
        place = int(np.where(enriched, own.shares, 0.0).argmax()) if enriched.any() else None
        return place, bool(perhaps.any())

    def _surroundings(self, label: int) -> dict[str, Any] | None:
        found = self.surroundings
        if found is None or np.isnan(found.shares[label]):
            return None
        return {
            "gap": found.gap,
            "is_place": bool(found.clear[label]),
            "share": float(found.shares[label]),
            "expected": float(found.expected[label]),
            "excess": float(found.excess[label]),
            "errors": float(found.errors[label]),
            "high": float(found.high[label]) if np.isfinite(found.high[label]) else None,
        }

    def _judge(self, label: int, place: int | None, *, unsure: bool) -> tuple[str, str]:
        if not self.same(label, [REFERENCE]).all():
            return "cannot_tell", "reference"
        for case in ("jitter", "noise"):
            if _usually(self.same(label, [case])):
                return "not_from_delta", case
        if place is not None:
            return "evidence", "place"
        found = self.surroundings
        if found is not None and found.clear[label]:
            return "evidence", "surroundings"
        if unsure:
            return "cannot_tell", "place"
        if _usually(self.alike(label, ["shuffled"])):
            if found is not None and found.unsure[label]:
                return "cannot_tell", "surroundings"
            return "by_chance", "shuffled"
        if self.alike(label, CHANCE).any():
            return "cannot_tell", "sometimes"
        halves = self.same(label, ["half_of_atoms"])
        if not (len(halves) and halves.all()):
            return "cannot_tell", "halves"
        return "evidence", "existence"


def _usually(found: NDArray[np.bool_]) -> bool:
    """Whether half of the runs or more have found it."""
    return bool(len(found)) and 2 * int(found.sum()) >= len(found)


def _clear(sites: Sites) -> Float:
    """Return the shares less `CLEAR` standard errors, about."""
    return np.asarray(sites.shares - CLEAR / 1.96 * (sites.shares - sites.low))
