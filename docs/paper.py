"""Write docs/paper.md from the results of docs/paper_runs.sh: python docs/paper.py FOLDER."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jinja2
import numpy as np

from strdyn_post import load_results
from strdyn_post.kinetics.clustered import share_interval
from strdyn_post.quantities import percent, time_text
from strdyn_post.signal.frames import usual_spacing

HERE = Path(__file__).parent


class Analysis:
    """One folder of results, and what the page asks of it."""

    def __init__(self, folder: Path) -> None:
        self.result = load_results(folder)
        self.summary = json.loads((folder / "summary.json").read_text())
        self.names = self.result.names["soap_lens"]

    @property
    def dt(self) -> str:
        """Δt with its unit."""
        return time_text(usual_spacing(self.result["soap"].times), self.units)

    @property
    def span(self) -> str:
        """Simulated time with its unit."""
        return f"{self.summary['run']['span']:g} {self.summary['run']['span_unit']}"

    @property
    def units(self) -> str:
        """LAMMPS `units` of the run."""
        return str(self.result.provenance["units"])

    def needed(self, route: str, wanted: float) -> int:
        """Return the number of components that hold so much of the variance."""
        held = np.cumsum(self.result[route].explained_variance_ratio)
        return int((held < wanted).sum()) + 1

    def variance(self, route: str) -> str:
        """Components and their share of the variance."""
        found = self.result[route]
        held = found.explained_variance_ratio[: found.n_components].sum()
        return f"{found.n_components} → {100 * held:.2f} %"

    def cumulative(self, route: str, n: int = 5) -> str:
        """First cumulative shares of the variance."""
        return ", ".join(
            f"{each:.4f}" for each in np.cumsum(self.result[route].explained_variance_ratio)[:n]
        )

    def clusters(self, route: str) -> str:
        """Clusters, and environments after merging."""
        found = self.result[route]
        return f"{found.n_clusters} → {found.final.n_clusters}"

    @property
    def new(self) -> dict:
        """The first environment that SOAP alone does not have."""
        return self.summary["new_environments"][0]

    @property
    def fast(self) -> int:
        """Label of the fast environment."""
        return self.names.highlighted[0]

    @property
    def found(self) -> dict:
        """What the report says of the fast environment."""
        return next(each for each in self.summary["new_environments"] if each["label"] == self.fast)

    @property
    def home(self) -> int:
        """Label in SOAP & LENS of the environment from which most moves into the fast one come."""
        counts = self.result["soap_lens"].final.counts[:, self.fast].copy()
        counts[self.fast] = 0
        return int(counts.argmax())

    def share(self, label: int) -> str:
        """Share of the observations."""
        populations = self.result["soap_lens"].final.populations
        return f"{percent(populations[label] / self.result['soap_lens'].final.labels.size)} %"

    def delta(self, label: int) -> float:
        """Mean δ of an environment."""
        inside = self.result["soap_lens"].final.labels == label
        return float(self.result["lens"].scores[..., 0][inside].mean())

    def move(self, a: int, b: int) -> str:
        """Probability to go from a to b in one Δt, with its 95 % interval in this run.

        A dagger marks moves whose rate changes during the whole run: the interval does not hold the
        uncertainty of that.
        """
        route, checks = self.result["soap_lens"], self.result["soap_lens"].checks
        found = float(route.final.transition_matrix[a, b])
        low, high = float(checks.low[a, b]), float(checks.high[a, b])
        if a != b and found:
            low, high = map(float, share_interval(found, checks.effective[a, b] / found))
        text = f"{percent(found)} % ({percent(low)} to {percent(high)})"
        return f"{text} †" if checks.slow[a, b] else text

    @property
    def slow_to_fast(self) -> list[int]:
        """Labels of SOAP & LENS by increasing mean δ."""
        return sorted(range(len(self.names.marks)), key=self.delta)

    def around(self, moment: float) -> tuple[float, float]:
        """Return the largest δ before a moment [ns], and the share of the later rows above it.

        Half a smoothing window next to the moment counts neither as before nor as after.
        """
        delta, times = self.result["lens"].scores[..., 0], self.result["lens"].times / 1000.0
        margin = self.result.config.smoothing_window / 2 * usual_spacing(times)
        before = float(delta[times < moment - margin].max())
        return before, float((delta[times > moment + margin] > before).mean())

    def populations(self, route: str) -> str:
        """Shares of the environments with their mean δ, by increasing δ."""
        labels, delta = self.result[route].final.labels, self.result["lens"].scores[..., 0]
        found = [
            (float(delta[inside].mean()), float(inside.mean()))
            for inside in (labels == k for k in range(self.result[route].final.n_clusters))
        ]
        return ", ".join(f"{percent(share)} % (δ {at:.2f})" for at, share in sorted(found))

    def heights(self, route: str) -> str:
        """Heights of the dendrogram."""
        return ", ".join(f"{height:.2f}" for height in self.result[route].linkage[:, 2])

    def events(self, place: int = 0) -> dict:
        """Return an environment of SOAP, ranked by its share of the lasting changes."""
        rows = self.summary["origin"]["environments"]
        return sorted(rows, key=lambda row: -row["events"])[place]


def lines_with(text: str) -> dict[str, str]:
    """Return the lines "name: value" of a text."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name: value for name, colon, value in pairs if colon}


def main(folder: Path) -> None:
    """Write the page."""
    runs = {
        path.parent.name.replace("-", "_"): Analysis(path.parent)
        for path in sorted(folder.glob("*/results.h5"))
    }
    printed = {path.stem.replace("-", "_"): path.read_text() for path in folder.glob("*.out")}
    rates = json.loads((folder / "rates" / "arrhenius.json").read_text())
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string((HERE / "paper.md.j2").read_text())
    page = template.render(
        **runs,
        rates={each["name"]: each for each in rates["processes"]},
        adatom=lines_with(printed.pop("adatom")),
        percent=percent,
        **{f"{name}_text": text.rstrip() for name, text in printed.items()},
    )
    (HERE / "paper.md").write_text(page.rstrip() + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
