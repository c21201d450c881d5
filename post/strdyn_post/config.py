"""AnalysisConfig: every setting of the analysis, declared once."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from strdyn_live.settings import ConfigError, Settings, documented, nearest, setting, shown

__all__ = ["AnalysisConfig", "ConfigError"]

_LONGEST = 10**6  # bytes of a file of settings
_MOST_THRESHOLDS = 999
_ROUTES = ("soap", "soap_lens", "lens")
_LONGEST_NAME = 60


@documented
@dataclass(frozen=True)
class AnalysisConfig(Settings):
    """Settings of an analysis. The defaults are those of the paper's Cu(211) surface.

    Keyword arguments, ``analysis.toml`` and the results have the same names. None in Python is
    "none" in TOML, which has no null.

    Raises
    ------
    ConfigError
        For an unknown setting or an impossible value; the message says what was expected.

    Examples
    --------
    >>> config = AnalysisConfig(min_cluster_size=15, names={"soap_lens": {"D": "running atoms"}})
    >>> config == AnalysisConfig.from_mapping(config.as_dict())
    True
    >>> AnalysisConfig(tree="exct")
    Traceback (most recent call last):
    strdyn_live.settings.ConfigError: tree = 'exct': expected exact or approx. Did you mean 'exact'?
    """

    smoothing_window: int = setting(
        "Savitzky–Golay window of LENS; 1 leaves δ as it is. An even window (the paper's 20) is "
        "allowed, but it shifts the signal by half a frame.",
        default=21,
        unit="analysed frames",
        low=1,
        high=10**6,
        use="Take a shorter window if atoms are fast for only a few frames: a window longer than "
        "an event hides the event.",
    )
    smoothing_order: int = setting(
        "Order of the polynomials of the filter; it must be below the window.",
        default=2,
        low=0,
        high=100,
        use="It rarely needs a change; 0 is the running mean.",
    )
    trim: str = setting(
        "Drop half a window at both ends of every gapless stretch, where the filter extrapolates, "
        "or keep all frames.",
        default="half_window",
        choices=("half_window", "none"),
        use="Choose none if a recording is too short to lose frames.",
    )
    lens_weight: float = setting(
        "Factor of δ in χ; 1 is the paper's.",
        default=1.0,
        low=0.0,
        high=1e6,
        use="It rarely needs a change; `scan_weights` shows whether the environments depend on it.",
    )
    scan_weights: tuple[float, ...] = setting(
        "Also repeat SOAP & LENS at these weights of δ; each costs one more clustering.",
        default=(),
        low=0.0,
        high=1e6,
        use="Try (0.5, 2) before you trust a new environment.",
    )
    stride: int = setting(
        "Analyse every so many frames of the buffer: LENS compares frames stride × Δt apart. "
        "`smoothing_window` and `lag` count the frames that are analysed, `min_cluster_size` their "
        "rows.",
        default=1,
        unit="recorded frames",
        low=1,
        high=10**6,
        use="Set what the scan over `scan_intervals` recommends.",
    )
    scan_intervals: tuple[int, ...] = setting(
        "Also repeat SOAP and SOAP & LENS with these strides.",
        default=(),
        unit="recorded frames",
        low=1,
        high=10**6,
        use="Try (1, 2, 5, 10) to find Δt for a new system.",
    )
    scan_windows: tuple[int, ...] = setting(
        "Also repeat SOAP and SOAP & LENS with these smoothing windows.",
        default=(),
        unit="analysed frames",
        low=1,
        high=10**6,
        use="Try (1, 5) if the window is in doubt.",
    )
    variance: float = setting(
        "PCA keeps the fewest components that reach this share of the variance.",
        default=0.995,
        above=0.0,
        high=1.0,
        use="The paper takes 0.99 for water.",
    )
    n_components: int | None = setting(
        "A fixed number of components, instead of a share of the variance.",
        default=None,
        low=1,
        high=10**6,
        use="Set it to compare runs in the same number of dimensions.",
    )
    method: str = setting(
        "How SOAP and SOAP & LENS are clustered.",
        default="hdbscan",
        choices=("hdbscan", "gmm", "kmeans"),
        use="Choose gmm (a mixture of Gaussians) if environments have no gap between them, as in "
        "liquids and small particles.",
    )
    min_cluster_size: int = setting(
        "HDBSCAN*: size of the smallest cluster, and number of neighbors that sets the density.",
        default=80,
        unit="rows",
        low=2,
        high=10**9,
        use="Take a smaller one for rare environments and short recordings.",
    )
    scan_cluster_sizes: tuple[int, ...] = setting(
        "Also cluster SOAP and SOAP & LENS with these values of `min_cluster_size` (``hdbscan`` "
        "only).",
        default=(),
        unit="rows",
        low=2,
        high=10**9,
        use="Try a half and twice `min_cluster_size` to see which environments depend on it.",
    )
    max_cluster_share: float | None = setting(
        "HDBSCAN*: a branch with more than this share of the rows is not a cluster if it splits. "
        "Without the limit, excess of mass may choose one sparse cluster and all other rows as "
        "the second cluster.",
        default=0.9,
        above=0.0,
        high=1.0,
        use="Set none for plain excess of mass, as in the paper.",
    )
    soft: str = setting(
        "HDBSCAN*: give noise to its most probable cluster (noise, the paper's text), relabel all "
        "rows by their most probable cluster (all, its notebook), or leave noise as −1 (none).",
        default="noise",
        choices=("noise", "all", "none"),
        use="Change it to compare with the paper's notebook, or to see what is noise.",
    )
    tree: str = setting(
        "HDBSCAN*: exact spanning tree, or the approximation that is the default of hdbscan. The "
        "approximation is of a million rows at most, as it needs much memory.",
        default="exact",
        choices=("exact", "approx"),
        use="Choose approx only to reproduce the paper's notebook.",
    )
    n_clusters: int = setting(
        "Number of clusters of ``gmm`` and ``kmeans``.",
        default=3,
        low=1,
        high=1000,
        use="Compare several numbers by `scan_clusters`.",
    )
    n_init: int = setting(
        "``gmm``: number of starting points; the fit of largest likelihood is used.",
        default=8,
        low=1,
        high=1000,
        use="Take more if the report says that the two likeliest fits disagree.",
    )
    scan_clusters: tuple[int, ...] = setting(
        "Also fit SOAP & LENS with these numbers of clusters, and compare them (``gmm`` only).",
        default=(),
        low=1,
        high=1000,
        use="Try (2, 3, 4, 5, 6) to choose `n_clusters`.",
    )
    lens_clusters: int = setting(
        "KMeans clusters of LENS alone.",
        default=3,
        low=1,
        high=1000,
        use="The paper takes 4 for the gold particle.",
    )
    lens_thresholds: tuple[float, ...] | None = setting(
        "Fixed increasing thresholds of δ for LENS alone, instead of KMeans.",
        default=None,
        low=0.0,
        high=1.0,
        use="Set (0.1, 0.3), for example, to compare runs by the same bands of δ.",
    )
    lag: int = setting(
        "Lag of the transition counts.",
        default=1,
        unit="analysed frames",
        low=1,
        high=10**9,
        use="The report shows from which lag on the moves are Markovian.",
    )
    merge_cut: float | None = setting(
        "HDBSCAN*: clusters closer than this in the dendrogram merge; none: no merging.",
        default=1.0,
        low=0.0,
        high=2.0,
        use="Take a smaller one to keep more clusters apart.",
    )
    merge_keep_dynamics: bool = setting(
        "HDBSCAN*: clusters of SOAP & LENS do not merge if their mean δ differ by more than "
        "√(s_a² + s_b²), where s is the standard deviation of δ in a cluster.",
        default=True,
        use="Set false for the merge of the paper.",
    )
    max_fit_rows: int = setting(
        "HDBSCAN*: all rows are clustered up to this number. With more, a sample that keeps sparse "
        "regions is clustered, and every other row has the label of its nearest row in the sample. "
        "``gmm`` and ``kmeans`` are fitted to this number of random rows, a million at most.",
        default=20_000_000,
        unit="rows",
        low=1000,
        high=10**9,
        use="Take a smaller one to try settings, or where memory is short.",
    )
    seed: int = setting(
        "Seed of all random numbers.",
        default=0,
        low=0,
        high=2**32 - 10,
        use="Change it to see what depends on chance.",
    )
    names: Mapping[str, Mapping[str, str]] = setting(
        "Names of environments: for a route (soap, soap_lens, lens) the name of each mark, such as "
        "``{'soap_lens': {'D': 'running atoms'}}``; texts of at most 60 characters.",
        default={},
        use="Set them after a first analysis; ``strdyn report DIR -c analysis.toml`` applies them.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("names", _checked_names(self.names))
        if self.scan_clusters and self.method != "gmm":
            raise ConfigError(
                f'scan_clusters needs method = "gmm", found {self.method!r}: the criterion (BIC) '
                "is that of a mixture of Gaussians. Remove scan_clusters, or change the method."
            )
        if self.scan_cluster_sizes and self.method != "hdbscan":
            raise ConfigError(
                f'scan_cluster_sizes needs method = "hdbscan", found {self.method!r}, which has no '
                "min_cluster_size. Remove scan_cluster_sizes, or change the method."
            )
        for window in self.scan_windows:
            if 1 < window <= self.smoothing_order:
                raise ConfigError(
                    f"scan_windows = {shown(list(self.scan_windows))}: expected 1, or more than "
                    f"smoothing_order = {self.smoothing_order}, for each."
                )
        if self.smoothing_window > 1 and self.smoothing_order >= self.smoothing_window:
            raise ConfigError(
                f"smoothing_order = {self.smoothing_order} needs a smoothing_window above it, "
                f"found {self.smoothing_window}."
            )
        bounds = self.lens_thresholds
        if bounds is not None and (not bounds or any(b <= a for a, b in pairwise(bounds))):
            raise ConfigError(
                f"lens_thresholds = {shown(list(bounds))}: expected increasing values of δ "
                "([0.1, 0.3])."
            )
        if bounds is not None and len(bounds) > _MOST_THRESHOLDS:
            raise ConfigError(
                f"lens_thresholds holds {len(bounds)} values: expected at most {_MOST_THRESHOLDS}."
            )

    @classmethod
    def from_toml(cls, path: str | Path) -> AnalysisConfig:
        """Read ``analysis.toml``; raise ConfigError for a file that is not TOML."""
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise ConfigError(
                f"{path} is longer than {_LONGEST} bytes: expected analysis.toml. Check the path."
            )
        try:
            return cls.from_mapping(tomllib.loads(content.decode("utf-8")))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path} is not TOML: its byte {error.start} is not UTF-8. Save it as UTF-8."
            ) from None
        except RecursionError:
            raise ConfigError(
                f"{path}: its values are nested too deeply. Expected plain values and lists."
            ) from None
        except ValueError as error:  # from tomllib, or from a number with thousands of digits
            raise ConfigError(f"{path} is not TOML: {error}. Correct it.") from None

    def to_toml(self) -> str:
        """Return the text of an ``analysis.toml`` with every setting."""
        settings = self.as_dict()
        names = settings.pop("names")
        lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
        if names:
            lines += ["", "[names]", *(f"{route} = {_toml(of)}" for route, of in names.items())]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(key)} = {_toml(of)}' for key, of in value.items())}}}"
    # the texts, lists and booleans of JSON are those of TOML
    return json.dumps(value, ensure_ascii=False)


def _checked_names(names: Any) -> dict[str, dict[str, str]]:
    """Return the names by route and mark; raise ConfigError if they are not valid."""
    if not isinstance(names, Mapping):
        raise ConfigError(
            f"names = {shown(names)}: expected a table of routes ([names] and below it "
            'soap_lens = {C = "fast"}).'
        )
    return {route: _checked_route(route, of) for route, of in names.items()}


def _checked_route(route: Any, names: Any) -> dict[str, str]:
    if route not in _ROUTES:
        raise ConfigError(
            f"names: found the route {shown(route)}, expected one of {', '.join(_ROUTES)}."
            f"{nearest(route, _ROUTES)}"
        )
    if not isinstance(names, Mapping):
        raise ConfigError(
            f'names.{route} = {shown(names)}: expected a name for each mark ({{C = "fast"}}).'
        )
    marks: dict[str, str] = {}
    for mark, name in names.items():
        key = str(mark) if isinstance(mark, str | int) and not isinstance(mark, bool) else ""
        for what, text in (("mark", key), ("name", name)):
            if not (isinstance(text, str) and text.strip() and text.isprintable()):
                raise ConfigError(
                    f"names.{route}: the {what} of {shown(mark)} = {shown(name)} cannot be "
                    "shown: expected letters, digits or signs, without control characters."
                )
            if len(text) > _LONGEST_NAME:
                raise ConfigError(
                    f"names.{route}: the {what} of {shown(mark)} = {shown(name)} has {len(text)} "
                    f"characters: expected at most {_LONGEST_NAME}."
                )
        if key in marks:
            raise ConfigError(f"names.{route}: the mark {key!r} is given twice. Give it one name.")
        marks[key] = name.strip()
    for name in marks.values():
        twins = [mark for mark in marks if marks[mark] == name]
        if len(twins) > 1:
            raise ConfigError(
                f"names.{route}: the marks {' and '.join(twins)} have the same name {name!r}: "
                "expected a different name for each."
            )
    return marks
