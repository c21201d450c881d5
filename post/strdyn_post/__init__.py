"""The offline half of strdyn-live: from a buffer to environments and their dynamics."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import AnalysisConfig
    from .exchange.soapify_reader import read_soapify
    from .files.results_file import load_results
    from .pipeline import analyse
    from .results import AnalysisResult

__all__ = ["AnalysisConfig", "AnalysisResult", "analyse", "load_results", "read_soapify"]

_HOME = {
    "AnalysisConfig": "config",
    "AnalysisResult": "results",
    "analyse": "pipeline",
    "load_results": "files.results_file",
    "read_soapify": "exchange.soapify_reader",
}


def __getattr__(name: str) -> Any:
    # imported where used: the command line must answer before scipy has loaded
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
