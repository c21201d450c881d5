"""The numbers of the runs in which δ means nothing, for the page and ``summary.json``."""

from __future__ import annotations

from typing import Any

from strdyn_post.results import AnalysisResult
from strdyn_post.routes.nulls import CASES

__all__ = ["null_numbers"]


def null_numbers(result: AnalysisResult) -> dict[str, Any] | None:
    """Return how often each environment is found again in each case, as JSON types."""
    nulls, names = result.nulls, result.names
    if nulls is None:
        return None
    chi, soap = names["soap_lens"], names["soap"]
    rows = []
    for case, title in CASES.items():
        runs = nulls.runs(case)
        if not runs.any():
            continue
        share, sites = float(nulls.fast_share[runs].mean()), nulls.sites[runs].mean(axis=0)
        rows.append(
            {
                "case": case,
                "title": title,
                "n_runs": int(runs.sum()),
                "environments": [
                    {
                        "label": label,
                        "found": int(nulls.same(label, [case]).sum()),
                        "overlap": float(nulls.overlap[runs, label].mean()),
                    }
                    for label in chi.order
                ],
                "fast_share": share if case not in ("jitter", "half_of_atoms") else None,
                "sites": [
                    {"label": label, "share": float(sites[label] / max(1e-300, sites.sum()))}
                    for label in soap.order
                ]
                if sites.any()
                else [],
            }
        )
    return {
        "n_rows": nulls.n_rows,
        "n_all": nulls.n_all,
        "min_cluster_size": nulls.min_cluster_size,
        "any_fast": bool(nulls.fast.any()),
        "cases": rows,
    }
