"""AnalysisConfig: every setting of the analysis, defined, checked and documented once."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from strdyn_live.config import ConfigError

__all__ = ["AnalysisConfig", "ConfigError"]

_CHOICES = {
    "trim": ("half_window", "none"),
    "method": ("hdbscan", "gmm", "kmeans"),
    "soft": ("noise", "all", "none"),
    "tree": ("exact", "approx"),
}
_WHOLE = {  # smallest value
    "stride": 1,
    "smoothing_window": 1,
    "smoothing_order": 0,
    "n_components": 1,
    "min_cluster_size": 2,
    "n_clusters": 1,
    "n_init": 1,
    "lens_clusters": 1,
    "lag": 1,
    "max_fit_rows": 1000,
    "seed": 0,
}
_MOST = {  # largest value
    "stride": 10**6,
    "smoothing_window": 10**6,
    "smoothing_order": 100,
    "n_components": 10**6,
    "min_cluster_size": 10**9,
    "n_clusters": 1000,
    "n_init": 1000,
    "lens_clusters": 1000,
    "lag": 10**9,
    "max_fit_rows": 10**12,
    "seed": 2**32 - 10,
}
_MOST_WEIGHT = 1e6
_LONGEST = 10**6  # bytes of a file of settings
_MOST_THRESHOLDS = 999
# these may be switched off: None in Python, "none" in TOML, which has no null
_OPTIONAL = ("n_components", "max_cluster_share", "lens_thresholds", "merge_cut")


@dataclass(frozen=True)
class AnalysisConfig:
    """Settings of an analysis; the defaults are those of the paper's Cu(211) surface.

    The same names serve keyword arguments, ``analysis.toml`` and the results.

    Parameters
    ----------
    smoothing_window : int
        Savitzky–Golay window of LENS [analysed frames]; 1 leaves δ as it is. An even window (the
        paper's 20) is honoured, but it shifts the signal by half a frame.
    smoothing_order : int
        Order of its polynomials, below the window.
    trim : {"half_window", "none"}
        Drop half a window at both ends of every gapless stretch, where the filter extrapolates.
    lens_weight : float
        Factor of δ in χ; 1 is the paper's.
    scan_weights : sequence of float
        Also repeat SOAP&LENS at these weights of δ; each costs one more clustering.
    stride : int
        Analyse every so many frames of the buffer: LENS compares frames stride × Δt apart.
        `smoothing_window` and `lag` count the frames that are analysed, `min_cluster_size` their
        rows.
    scan_intervals : sequence of int
        Also repeat SOAP and SOAP&LENS with these strides ([1, 2, 5, 10]).
    scan_windows : sequence of int
        Also repeat them with these smoothing windows.
    variance : float
        PCA keeps the fewest components that reach this share of the variance.
    n_components : int, optional
        A fixed number of components instead.
    method : {"hdbscan", "gmm", "kmeans"}
        How SOAP and SOAP&LENS are clustered.
    min_cluster_size : int
        HDBSCAN*: the smallest cluster, and the neighbor that sets the density [rows].
    max_cluster_share : float, optional
        HDBSCAN*: a branch with more than this share of the rows is no cluster if it splits. Without
        the limit one sparse cluster that lasts makes excess of mass take all the rest as another.
        None: no limit, as in the paper.
    soft : {"noise", "all", "none"}
        HDBSCAN*: give noise to its most probable cluster (the paper's text), relabel all rows by
        their most probable cluster (its notebook), or leave noise as −1.
    tree : {"exact", "approx"}
        HDBSCAN*: exact spanning tree, or hdbscan's default approximation (the notebook).
    n_clusters : int
        Number of clusters of ``gmm`` and ``kmeans``.
    n_init : int
        ``gmm``: starting points; the fit of largest likelihood counts.
    scan_clusters : sequence of int
        Also fit SOAP&LENS with these numbers of clusters, and compare them (``gmm`` only).
    lens_clusters : int
        KMeans clusters of LENS alone.
    lens_thresholds : sequence of float, optional
        Fixed increasing thresholds of δ for LENS alone instead of KMeans.
    lag : int
        Lag of the transition counts [analysed frames].
    merge_cut : float, optional
        HDBSCAN*: clusters closer than this in the dendrogram merge; None: no merging.
    merge_keep_dynamics : bool
        HDBSCAN*: clusters of SOAP&LENS do not merge if their mean δ differ by more than
        √(s_a² + s_b²), s being the standard deviations of δ in each.
    max_fit_rows : int
        HDBSCAN*: with more rows than this a part of them that keeps sparse regions is clustered,
        and the others join their nearest neighbor.
    seed : int
        Of everything that draws random numbers.

    Raises
    ------
    ConfigError
        For every unknown or impossible value, with what was found and expected.
    """

    smoothing_window: int = 21
    smoothing_order: int = 2
    trim: str = "half_window"
    lens_weight: float = 1.0
    scan_weights: tuple[float, ...] = ()
    stride: int = 1
    scan_intervals: tuple[int, ...] = ()
    scan_windows: tuple[int, ...] = ()
    variance: float = 0.995
    n_components: int | None = None
    method: str = "hdbscan"
    min_cluster_size: int = 80
    max_cluster_share: float | None = 0.9
    soft: str = "noise"
    tree: str = "exact"
    n_clusters: int = 3
    n_init: int = 8
    scan_clusters: tuple[int, ...] = ()
    lens_clusters: int = 3
    lens_thresholds: tuple[float, ...] | None = None
    lag: int = 1
    merge_cut: float | None = 1.0
    merge_keep_dynamics: bool = True
    max_fit_rows: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        _set = object.__setattr__
        for name in _OPTIONAL:
            if getattr(self, name) == "none":
                _set(self, name, None)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} = {_shown(getattr(self, name))}: expected {' or '.join(choices)}."
                    + _nearest(getattr(self, name), choices)
                )
        if not isinstance(self.merge_keep_dynamics, bool):
            raise ConfigError(
                f"merge_keep_dynamics = {_shown(self.merge_keep_dynamics)}: expected true or false."
            )
        for name, least in _WHOLE.items():
            value = getattr(self, name)
            if name not in _OPTIONAL or value is not None:
                _set(self, name, _whole(name, value, least))
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and value > most:
                raise ConfigError(f"{name} = {_shown(value)}: expected at most {most}.")
        _set(self, "lens_weight", _real("lens_weight", self.lens_weight))
        _set(self, "variance", _real("variance", self.variance))
        if not 0.0 < self.variance <= 1.0:
            raise ConfigError(
                f"variance = {self.variance:g}: expected a share above 0 and at most 1 (0.995)."
            )
        if not 0.0 <= self.lens_weight <= _MOST_WEIGHT:
            raise ConfigError(
                f"lens_weight = {self.lens_weight:g}: expected 0 or more, up to {_MOST_WEIGHT:g}."
            )
        _set(self, "scan_weights", _reals("scan_weights", self.scan_weights))
        if not all(0.0 <= weight <= _MOST_WEIGHT for weight in self.scan_weights):
            raise ConfigError(
                f"scan_weights = {_shown(list(self.scan_weights))}: expected 0 or more for each, "
                f"up to {_MOST_WEIGHT:g}."
            )
        if self.scan_clusters and self.method != "gmm":
            raise ConfigError(
                f'scan_clusters needs method = "gmm", found {self.method!r}: the criterion (BIC) '
                "is that of a mixture of Gaussians."
            )
        if self.max_cluster_share is not None:
            share = _real("max_cluster_share", self.max_cluster_share)
            if not 0.0 < share <= 1.0:
                raise ConfigError(
                    f"max_cluster_share = {share:g}: expected a share above 0 and at most 1 (0.9), "
                    'or "none".'
                )
            _set(self, "max_cluster_share", share)
        for name, one in (
            ("scan_intervals", "stride"),
            ("scan_windows", "smoothing_window"),
            ("scan_clusters", "n_clusters"),
        ):
            _set(self, name, _wholes(name, getattr(self, name), _MOST[one]))
        for window in self.scan_windows:
            if 1 < window <= self.smoothing_order:
                raise ConfigError(
                    f"scan_windows = {_shown(list(self.scan_windows))}: expected 1, or more than "
                    f"smoothing_order = {self.smoothing_order}, for each."
                )
        if self.merge_cut is not None:
            _set(self, "merge_cut", _real("merge_cut", self.merge_cut))
        if self.smoothing_window > 1 and self.smoothing_order >= self.smoothing_window:
            raise ConfigError(
                f"smoothing_order = {self.smoothing_order} needs a smoothing_window above it, "
                f"found {self.smoothing_window}."
            )
        if self.lens_thresholds is not None:
            bounds = _reals("lens_thresholds", self.lens_thresholds)
            if not bounds or any(b <= a for a, b in pairwise(bounds)):
                raise ConfigError(
                    f"lens_thresholds = {_shown(list(bounds))}: expected increasing values of δ "
                    "([0.1, 0.3])."
                )
            if len(bounds) > _MOST_THRESHOLDS:
                raise ConfigError(
                    f"lens_thresholds holds {len(bounds)} values: expected at most "
                    f"{_MOST_THRESHOLDS}."
                )
            _set(self, "lens_thresholds", bounds)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> AnalysisConfig:
        """Build from names and values; raise ConfigError for an unknown name."""
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                raise ConfigError(
                    f"unknown setting {_shown(name)}.{_nearest(name, known)} Known: "
                    f"{', '.join(known)}."
                )
        return cls(**settings)

    @classmethod
    def from_toml(cls, path: str | Path) -> AnalysisConfig:
        """Read ``analysis.toml``; raise ConfigError for a file that is not TOML."""
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ConfigError(f"{path} is no analysis.toml: it is longer than {_LONGEST} bytes.")
        try:
            return cls.from_mapping(tomllib.loads(content.decode("utf-8")))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path} is not TOML: its byte {error.start} is no UTF-8. Save it as UTF-8."
            ) from None
        except RecursionError:
            raise ConfigError(f"{path}: its values are nested too deeply.") from None
        except ValueError as error:  # of TOML, or of a number with thousands of digits
            raise ConfigError(f"{path} is not TOML: {error}.") from None

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON types; `from_mapping` reads them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def to_toml(self) -> str:
        """Return the text of an ``analysis.toml`` with every setting."""
        return "".join(f"{name} = {_toml(value)}\n" for name, value in self.as_dict().items())


def _shown(value: Any) -> str:
    """Return a value as a message shows it: a long one without its middle."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python does not write very long numbers
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 80 else f"{text[:50]} … {text[-20:]}"


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _nearest(name: Any, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1) if isinstance(name, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


def _real(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ConfigError(f"{name} = {_shown(value)} is not a finite number.")
    return number


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, Sequence) and not isinstance(values, str) else [values]


def _reals(name: str, values: Any) -> tuple[float, ...]:
    return tuple(_real(name, value) for value in _listed(values))


def _wholes(name: str, values: Any, most: int) -> tuple[int, ...]:
    wholes = tuple(_whole(name, value, 1) for value in _listed(values))
    if max(wholes, default=1) > most:
        raise ConfigError(f"{name} = {_shown(list(wholes))}: expected at most {most} for each.")
    return wholes


def _whole(name: str, value: Any, least: int) -> int:
    number = _real(name, value)
    if number != int(number) or number < least:
        raise ConfigError(f"{name} = {_shown(value)}: expected a whole number, {least} or more.")
    return int(number)
