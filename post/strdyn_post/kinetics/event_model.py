"""The regression that foretells events: from the scores of SOAP to a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EventModel"]

_MOST_ROWS = 200_000

Float = NDArray[np.float64]


@dataclass(frozen=True)
class EventModel:
    """A logistic regression from the scores of SOAP to events between a frame and the next.

    Attributes
    ----------
    coefficients : (n_components,) float64 ndarray
        Of the scores.
    intercept : (1,) float64 ndarray
        Log-odds of an event where all scores are 0.
    interval : (1,) float64 ndarray
        Time between the frames that it has learnt from.
    """

    coefficients: Float
    intercept: Float
    interval: Float

    @classmethod
    def fit(
        cls,
        scores: NDArray[np.float32],
        happened: NDArray[np.bool_],
        interval: float,
        rng: np.random.Generator,
    ) -> EventModel:
        """Learn from rows: scores (n_rows, n_components), whether an event followed (n_rows,).

        At most 200 000 of them, drawn by chance. If all rows are alike, the scores do not matter.
        """
        from sklearn.linear_model import LogisticRegression

        if len(scores) > _MOST_ROWS:
            drawn = rng.choice(len(scores), _MOST_ROWS, replace=False)
            scores, happened = scores[drawn], happened[drawn]
        time = np.array([interval], dtype=np.float64)
        n_events, n = int(happened.sum()), len(happened)
        if n_events in (0, n):
            odds = np.log((n_events + 0.5) / (n - n_events + 0.5))
            return cls(np.zeros(scores.shape[1]), np.array([odds]), time)
        rows = scores.astype(np.float64)
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale == 0.0] = 1.0
        found = LogisticRegression(max_iter=1000).fit((rows - mean) / scale, happened)
        coefficients = found.coef_[0] / scale
        return cls(coefficients, found.intercept_ - coefficients @ mean, time)

    def rate(self, scores: NDArray[Any]) -> Float:
        """Return the expected events per time, of scores as for `probability`."""
        return np.asarray(self.probability(scores) / self.interval[0])

    def probability(self, scores: NDArray[Any]) -> Float:
        """Return the probability of an event before the next frame.

        Parameters
        ----------
        scores : (..., n_components) ndarray
            Of SOAP.

        Returns
        -------
        (...) float64 ndarray
        """
        from scipy.special import expit

        return np.asarray(expit(scores @ self.coefficients + self.intercept[0]))
