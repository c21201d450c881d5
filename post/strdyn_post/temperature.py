"""How the rates of several runs depend on temperature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import AnalysisError
from .findings import ATTENTION, FINE, UNKNOWN
from .kinetics.arrhenius import BOLTZMANN, Arrhenius, fit_arrhenius, worth_of
from .quantities import finite, time_text, time_unit
from .results import AnalysisResult
from .routes import Route, RouteFit
from .signal.frames import usual_spacing

__all__ = ["Process", "Temperatures", "compare_temperatures"]

_MISFIT = 0.05  # rates farther from the line than by chance in one of 20 cases


@dataclass(frozen=True)
class Process:
    """A process, and its rates at all temperatures.

    Attributes
    ----------
    name : str
        "events from environment 4", or "environment 4 → fast environment".
    color : str
        Colour of the environment where it starts.
    events : bool
        Lasting changes of neighbors, not moves between environments.
    slow : (n,) bool ndarray
        Whether the rate changes over times as long as the run.
    law : Arrhenius
        The rates, and the law through them.
    """

    name: str
    color: str
    events: bool
    slow: NDArray[np.bool_]
    law: Arrhenius

    @property
    def severity(self) -> str:
        """Whether the rates lie on one line: fine, attention, or unknown."""
        if np.isnan(self.law.misfit) or self.slow.any():
            return UNKNOWN
        return ATTENTION if self.law.misfit < _MISFIT else FINE


@dataclass(frozen=True)
class Temperatures:
    """Rates of several runs at different temperatures.

    Attributes
    ----------
    processes : tuple of Process
    units : str
        LAMMPS `units` of the runs.
    interval : float
        Δt of the analysed frames [time unit of the runs].
    lasting : tuple of int
        Frames for which an event lasts, for each temperature.
    """

    processes: tuple[Process, ...]
    units: str
    interval: float
    lasting: tuple[int, ...]

    @property
    def lines(self) -> list[str]:
        """One sentence for each process, and one if the events are not counted alike."""
        lines = [self._line(process) for process in self.processes]
        if len(set(self.lasting)) > 1:
            frames = ", ".join(map(str, self.lasting))
            lines.append(
                f"The events last for {frames} frames, by increasing temperature: they are not "
                "counted alike, so their barriers are not known. Those of the moves are."
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        names = ("barrier", "barrier_low", "barrier_high", "prefactor", "misfit")
        return {
            "units": self.units,
            "energy": BOLTZMANN[self.units][1],
            "time": time_unit(self.units),
            "interval": self.interval,
            "lasting": list(self.lasting),
            "processes": [
                {
                    "name": each.name,
                    "severity": each.severity,
                    **{
                        name: [finite(value) for value in getattr(each.law, name)]
                        for name in ("temperature", "rate", "low", "high", "worth")
                    },
                    "slow": each.slow.tolist(),
                    **{name: finite(getattr(each.law, name)) for name in names},
                }
                for each in self.processes
            ],
        }

    def _line(self, process: Process) -> str:
        law, energy = process.law, BOLTZMANN[self.units][1]
        if np.isnan(law.barrier):
            return f"{process.name}: no barrier, because fewer than two rates are known."
        text = (
            f"{process.name}: barrier {law.barrier:.2f} {energy} ({law.barrier_low:.2f} to "
            f"{law.barrier_high:.2f} with 95 % confidence), prefactor "
            f"{law.prefactor:.1e} per {time_unit(self.units)}."
        )
        if process.slow.any():
            at = " and ".join(f"{each:g}" for each in law.temperature[process.slow])
            return (
                f"{text} At {at} the rate changes during the whole run, so its mean is not known "
                "well. Record a longer run, or leave out the time in which the system relaxes."
            )
        if process.severity == UNKNOWN:
            return f"{text} Two temperatures cannot tell whether the rates follow Arrhenius's law."
        if process.severity == ATTENTION:
            return (
                f"{text} The rates do not lie on one line (p = {law.misfit:.2g}): another process "
                "may dominate at other temperatures."
            )
        return f"{text} The rates lie on one line within their errors (p = {law.misfit:.2f})."


def compare_temperatures(results: Sequence[tuple[float, AnalysisResult]]) -> Temperatures:
    """Fit Arrhenius's law to the rates of runs at several temperatures.

    The rates are those of lasting changes of neighbors, by environment of SOAP before the change,
    and those of the moves to and from environments that only SOAP&LENS has.

    Parameters
    ----------
    results : sequence of (float, AnalysisResult)
        Temperature [temperature unit of the runs] and result of every run. One result made the
        fit; the others are labelled by it (``strdyn analyse --model``), so that environments are
        the same at all temperatures.

    Returns
    -------
    Temperatures

    Raises
    ------
    AnalysisError
        If there are fewer than two temperatures, or the results do not belong together.
    """
    runs = sorted(results, key=lambda run: run[0])
    _check(runs)
    # the run that made the fit decides which environment is fast
    fitted = next((run for _, run in runs if "model" not in run.provenance), runs[0][1])
    units = str(fitted.provenance["units"])
    interval = usual_spacing(fitted["soap"].times)
    at = np.array([temperature for temperature, _ in runs])
    processes = []
    for name, color, events, numbers in (*_of_events(runs, fitted), *_of_moves(runs, fitted)):
        share, worth, rows, slow = numbers
        if (share > 0).sum() > 1:
            boltzmann = BOLTZMANN[units][0]
            law = fit_arrhenius(at, share / interval, worth, rows * interval, boltzmann)
            processes.append(Process(name, color, events, slow > 0, law))
    lasting = tuple(run.origin.lasting for _, run in runs if run.origin is not None)
    return Temperatures(tuple(processes), units, interval, lasting)


_Numbers = Iterator[tuple[str, str, bool, NDArray[np.float64]]]
"""Share of the rows, its worth in events and in rows, whether it drifts: for each run."""


def _of_events(runs: Sequence[tuple[float, AnalysisResult]], fitted: AnalysisResult) -> _Numbers:
    """Yield the events per observation by environment of SOAP."""
    names = fitted.names["soap"]
    origins = [run.origin for _, run in runs]
    found = [origin.environments for origin in origins if origin is not None]
    for k in names.order if len(found) == len(runs) else ():
        share, high, slow = (
            np.array([getattr(each, name)[k] for each in found])
            for name in ("rate", "rate_high", "rate_slow")
        )
        numbers = np.array([share, *worth_of(share, high), slow])
        yield f"events from {names.names[k]}", names.colors[k], True, numbers


def _of_moves(runs: Sequence[tuple[float, AnalysisResult]], fitted: AnalysisResult) -> _Numbers:
    """Yield the probabilities of the moves to and from highlighted environments."""
    names = fitted.names["soap_lens"]
    for a in names.order:
        for b in names.order:
            if a != b and {a, b} & set(names.highlighted):
                numbers = np.array([_move(run["soap_lens"], a, b) for _, run in runs]).T
                yield f"{names.names[a]} → {names.names[b]}", names.colors[a], False, numbers


def _move(route: Route, a: int, b: int) -> tuple[float, ...]:
    checks, share = route.checks, float(route.final.transition_matrix[a, b])
    if checks is None:
        return (np.nan,) * 4
    worth = float(checks.effective[a, b])
    rows = worth / share if share else float(worth_of([0.0], [checks.high[a, b]])[1][0])
    return share, worth, rows, float(checks.slow[a, b])


def _check(runs: Sequence[tuple[float, AnalysisResult]]) -> None:
    """Raise where results do not belong together."""
    temperatures = [temperature for temperature, _ in runs]
    if len(set(temperatures)) < 2 or min(temperatures) <= 0.0:
        raise AnalysisError(
            f"found the temperatures {', '.join(f'{each:g}' for each in temperatures) or 'none'}: "
            "expected at least two different ones above 0."
        )
    first = runs[0][1]
    units = str(first.provenance.get("units"))
    if units not in BOLTZMANN:
        raise AnalysisError(
            f"the runs have units {units}: expected one of {', '.join(BOLTZMANN)}, for which the "
            "energy of the barrier has a unit."
        )
    for temperature, run in runs[1:]:
        for name in ("soap", "soap_lens"):
            if not _same_fit(first[name].fit, run[name].fit):
                raise AnalysisError(
                    f"the result at {temperature:g} has another fit than that at "
                    f"{temperatures[0]:g}, so their environments are not the same. Label all runs "
                    "with one fit: strdyn analyse BUFFER --model DIR/results.h5."
                )
        ours, theirs = (usual_spacing(each["soap"].times) for each in (first, run))
        if not np.isclose(ours, theirs):
            raise AnalysisError(
                f"Δt is {time_text(theirs, units)} at {temperature:g} and "
                f"{time_text(ours, units)} at {temperatures[0]:g}: expected the same one. Set "
                "stride so that they agree."
            )


def _same_fit(one: RouteFit, other: RouteFit) -> bool:
    if one.pca is None or other.pca is None:
        return False
    same = np.array_equal(one.pca.components, other.pca.components)
    same = same and np.array_equal(one.linkage, other.linkage)
    return same and np.array_equal(one.identities, other.identities)
