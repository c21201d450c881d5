"""What a result was made of, whether a recording is still that, and whether a fit is for it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import strdyn_live

from .config import AnalysisConfig
from .errors import AnalysisError
from .recording import Recording
from .results import AnalysisResult, Fit
from .signal.frames import usual_spacing
from .signal.regular import regular_frames
from .signal.stored import soap_error

__all__ = [
    "check_descriptors",
    "check_same_run",
    "check_settings",
    "describe_origin",
    "describe_recording",
]

_NOT_OF_THE_FIT = {
    "stride",  # Δt is compared
    *("lag", "names"),
    *("scan_weights", "scan_intervals", "scan_windows", "scan_clusters", "scan_cluster_sizes"),
}


def describe_recording(recording: Recording) -> str:
    """Say in words what descriptors of two recordings must have in common."""
    spacing = usual_spacing(recording.times)
    return f"{recording.config.descriptors}, a frame every {spacing:g} time units"


def describe_origin(recording: Recording, taken: Recording, seed: int) -> dict[str, Any]:
    """Return versions, seed, and what tells the analysed frames from others, as JSON types.

    Parameters
    ----------
    recording : Recording
        With all regular frames.
    taken : Recording
        With the frames that the analysis takes.
    seed : int
        Of the analysis.
    """
    steps = np.asarray(recording.steps)
    packages = ("numpy", "scipy", "scikit-learn", "hdbscan")
    return {
        "buffer": str(Path(recording.path).absolute()),
        "buffer_uuid": str(recording.uuid),
        "recording": describe_recording(taken),
        "units": recording.units,
        "interval": usual_spacing(taken.times),
        "n_frames": len(steps),
        "n_frames_taken": len(taken.steps),
        "n_atoms": len(recording.atom_ids),
        "first_step": int(steps[0]),
        "last_step": int(steps[-1]),
        "generations": sorted(getattr(recording, "generations", {})),
        "store": recording.config.store,
        "soap_error": soap_error(recording),
        "seed": seed,
        "strdyn_live": strdyn_live.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def check_same_run(result: AnalysisResult, recording: Recording) -> None:
    """Make sure that a buffer holds what was analysed; what a result does not name passes.

    Parameters
    ----------
    result : AnalysisResult
    recording : Recording

    Raises
    ------
    AnalysisError
        If the result is that of another run, or frames or atoms of it have gone.
    """
    analysed = result.provenance.get("buffer_uuid")
    if analysed is not None and str(analysed) != str(recording.uuid):
        raise AnalysisError(
            f"the result is of run {analysed}, but the buffer {recording.config.file} holds run "
            f"{recording.uuid}: give the buffer that was analysed, or analyse this one again."
        )
    first = result["soap_lens"]
    missing = np.setdiff1d(first.steps, recording.steps)
    strange = np.setdiff1d(first.atom_ids, recording.atom_ids)
    if len(missing) or len(strange):
        what = f"step {missing[0]}" if len(missing) else f"atom {strange[0]}"
        raise AnalysisError(
            f"{what} of the result is not in the buffer {recording.config.file}: give the buffer "
            "that was analysed. If it is this one, frames have gone (`strdyn verify` names what is "
            "damaged): analyse it again."
        )
    _check_same_frames(result.provenance, recording)


def _check_same_frames(provenance: Mapping[str, Any], recording: Recording) -> None:
    """Raise if frames went, or gave way to others, since they were analysed."""
    if not {"n_frames", "first_step", "last_step"} <= provenance.keys():
        return
    first, last, n_frames = (provenance[name] for name in ("first_step", "last_step", "n_frames"))
    steps = np.asarray(regular_frames(recording).steps)
    found = int(((steps >= first) & (steps <= last)).sum())
    if found != n_frames:
        raise AnalysisError(
            f"{n_frames} frames from step {first} to {last} were analysed, the buffer "
            f"{recording.config.file} now holds {found}: `strdyn verify` names what is damaged. "
            "Analyse it again."
        )
    starts = getattr(recording, "generations", {})
    known = provenance.get("generations", starts)
    for start, step in starts.items():
        if start not in known and step is not None and step < last:
            raise AnalysisError(
                f"the run went on from step {step} after the analysis of steps {first} to {last}: "
                f"the frames in {recording.config.file} are others now. Analyse it again."
            )


def check_settings(fit: Fit, config: AnalysisConfig) -> None:
    """Raise where the settings are not those of the fit."""
    fitted, asked = fit.config.as_dict(), config.as_dict()
    for name in fitted.keys() - _NOT_OF_THE_FIT:
        if fitted[name] != asked[name]:
            raise AnalysisError(
                f"the fit was made with {name} = {fitted[name]}, the settings say "
                f"{asked[name]}: leave them out (but for lag, stride and names), or fit anew."
            )


def check_descriptors(fit: Fit, recording: Recording) -> None:
    """Raise where the frames were recorded otherwise than those of the fit."""
    pca = fit["soap"].pca
    found, expected = np.shape(recording.soap(0))[1], 0 if pca is None else len(pca.mean)
    if found != expected:
        raise AnalysisError(
            f"the fit is for spectra of {expected} components, the buffer holds {found}: "
            "both must be recorded with the same elements, n_max and l_max."
        )
    here = describe_recording(recording)
    if fit.recording not in ("", here):
        raise AnalysisError(
            f"the fit is of a recording with {fit.recording}; this one has {here}: "
            "a fit labels frames that were recorded alike."
        )
