"""The offline half of strdyn-live: from a recording to environments and their dynamics."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import AnalysisConfig
    from .exchange.collect import collect
    from .exchange.snapshot import Snapshot
    from .exchange.soapify_reader import read_soapify
    from .files.results_file import load_results, save_results
    from .pipeline import analyse, fit, label
    from .recording import Recording
    from .results import AnalysisResult, Fit
    from .run import analyse_run

__all__ = [
    "AnalysisConfig",
    "AnalysisResult",
    "Fit",
    "Recording",
    "Snapshot",
    "analyse",
    "analyse_run",
    "collect",
    "fit",
    "label",
    "load_results",
    "read_soapify",
    "save_results",
]

_HOME = {
    "AnalysisConfig": "config",
    "AnalysisResult": "results",
    "Fit": "results",
    "Recording": "recording",
    "Snapshot": "exchange.snapshot",
    "analyse": "pipeline",
    "analyse_run": "run",
    "collect": "exchange.collect",
    "fit": "pipeline",
    "label": "pipeline",
    "load_results": "files.results_file",
    "read_soapify": "exchange.soapify_reader",
    "save_results": "files.results_file",
}


def __getattr__(name: str) -> Any:
    # imported where used: the command line must answer before scipy has loaded
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
