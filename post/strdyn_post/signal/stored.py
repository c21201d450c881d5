"""What a recording has stored of its spectra, and what that means for an analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strdyn_post.errors import AnalysisError
from strdyn_post.findings import ATTENTION, FINE, Finding
from strdyn_post.limits import LARGE_RESIDUAL
from strdyn_post.recording import Recording

__all__ = ["require_spectra", "soap_error", "stored_spectra"]


def soap_error(recording: Recording) -> float:
    """Return how far a spectrum may be from the one that was computed; 0 for most recordings."""
    return float(getattr(recording, "soap_error", 0.0))


def require_spectra(recording: Recording) -> None:
    """Raise AnalysisError if a recording has no spectra."""
    if not recording.config.stored.spectra:
        raise AnalysisError(
            f"{recording.path} was recorded with store = 'none': it has no spectra, and SOAP and "
            "SOAP & LENS need them. LENS alone could be had of its neighbor lists, with "
            "strdyn_live.lens.lens. Record again with store='full' or store='pca 32'."
        )


def stored_spectra(
    recording: Recording, variances: NDArray[np.float64], n_components: int
) -> list[Finding]:
    """Compare the error of stored spectra with what the analysis tells apart.

    Parameters
    ----------
    recording : Recording
        With all regular frames. Without the optional attribute `soap_error`, or where it is 0,
        nothing is found.
    variances : (n_features,) float64 ndarray
        Of the principal components of SOAP.
    n_components : int
        How many of them the analysis keeps.
    """
    error = soap_error(recording)
    if error == 0.0:
        return []
    spread = float(np.sqrt(max(variances[:n_components].min(initial=np.inf), 0.0)))
    reduced = np.asarray(getattr(recording, "n_scores_of", np.empty(0)))
    values: dict[str, Any] = {
        "bound": error,
        "reduced": int((reduced > 0).sum()),
        "recorded": len(recording.steps),
        "n_scores": int(reduced.max(initial=0)),
        "spread": spread,
    }
    severity = ATTENTION if error > LARGE_RESIDUAL * spread else FINE
    return [Finding("stored_spectra", severity, values=values)]
