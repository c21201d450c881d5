"""False alarms and power of the verdicts on new environments, on model observations.

``python tests/post/known/null_trials.py`` writes the table of docs/explanation/nulls.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from known.null_models import (  # noqa: E402
    Observed,
    coexistence,
    mobile_region,
    nothing,
    placed,
    runners,
    tail_of_atoms,
)

PAGE = HERE.parents[2] / "docs" / "explanation" / "nulls.md"
VERDICTS = ("evidence", "cannot_tell", "by_chance", "not_from_delta")
"""The first one that an environment of a run has counts for the run."""

MODELS: dict[str, Callable[[int], Observed]] = {
    "structure, and a δ without structure": nothing,
    "the same, and 2 % of large δ anywhere": lambda seed: nothing(seed, 0.02),
    "the same, and atoms that are fast for 50 frames, anywhere": tail_of_atoms,
    "structure that lies in space, and 2 % of large δ anywhere": placed,
    "two phases, and a layer between them": coexistence,
    "atoms that are fast half of the time, in one place, of any structure": mobile_region,
    "fast atoms of one structure, P(stay) 0.2": lambda seed: runners(seed, 0.2),
    "fast atoms of one structure, P(stay) 0.5": lambda seed: runners(seed, 0.5),
    "fast atoms of one structure, P(stay) 0.7": lambda seed: runners(seed, 0.7),
    "fast atoms of one structure, P(stay) 0.98": lambda seed: runners(seed, 0.98),
    "400 atoms, fast ones of one structure, P(stay) 0.98": lambda seed: runners(
        seed, 0.98, 0.05, 400
    ),
}


def of_run(seen: Observed) -> str:
    """Return the verdict that a run has."""
    return next((each for each in VERDICTS if each in seen.verdicts), "nothing new")


def main(n_runs: int = 20) -> None:
    """Run everything, print the table as it grows, write it into the page."""
    columns = (*VERDICTS, "nothing new")
    rows = [
        "| model | runs | evidence | cannot tell | by chance | not from δ | nothing new |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, model in MODELS.items():
        counted = Counter(of_run(model(seed)) for seed in range(n_runs))
        shares = " | ".join(f"{counted[each] / n_runs:.2f}" for each in columns)
        rows.append(f"| {name} | {n_runs} | {shares} |")
        print(rows[-1], flush=True)
    before, _, rest = PAGE.read_text().partition("<!-- table -->\n")
    after = rest.partition("<!-- end -->")[2]
    table = "\n".join(rows)
    PAGE.write_text(f"{before}<!-- table -->\n{table}\n<!-- end -->{after}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
