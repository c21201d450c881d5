"""Where the environments of ice and water lie: python interfaces.py BUFFER.sdl RESULTS [PICTURE].

The interfaces are found by the structure alone, without clusters and without LENS: the first
principal component of SOAP, averaged over slabs across z, crosses the middle of its values in ice
and in liquid. Every molecule then has a distance to the nearer interface, positive in the liquid.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from strdyn_live import open_buffer
from strdyn_post import AnalysisResult, load_results

SLAB = 2.0  # Å
BINS = np.array([-np.inf, -9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0, np.inf])  # Å

Float = NDArray[np.float64]


def heights(path: str, result: AnalysisResult) -> tuple[Float, Float]:
    """Return z of the analysed atoms, (n_frames, n_atoms), in [0, 1), and box lengths [Å]."""
    with open_buffer(path) as buffer:
        rows = np.searchsorted(buffer.atom_ids, result["soap"].atom_ids)
        found, lengths = [], []
        for k in np.searchsorted(buffer.steps, result["soap"].steps).tolist():
            matrix, origin = buffer.box(k)
            lengths.append(matrix[2, 2])
            found.append((buffer.positions(k)[rows, 2] - origin[2]) / matrix[2, 2] % 1.0)
    return np.array(found), np.array(lengths)


def distances(path: str, result: AnalysisResult) -> tuple[Float, Float]:
    """Return the distances to the nearer interface (n_frames, n_atoms) [Å], and the share of ice.

    The share is that of the box length, (n_frames,).
    """
    z, lengths = heights(path, result)
    order = result["soap"].scores[..., 0].astype(np.float64)
    delta = result.smoothed_delta.values
    if np.corrcoef(order.ravel(), delta.ravel())[0, 1] < 0.0:
        order = -order  # larger in the liquid
    n_slabs = round(float(lengths.mean()) / SLAB)
    profiles = np.array([_profile(*each, n_slabs) for each in zip(z, order, strict=True)])
    # a tenth of the slabs at either end are the phases
    low, high = np.quantile(profiles, [0.1, 0.9])
    middle = (low + high) / 2.0
    found, ice = np.empty_like(z), np.empty(len(z))
    for k, profile in enumerate(profiles):
        start, stop = _liquid(profile - middle)
        edges = []
        for a in (start - 1, stop):  # the border lies between the centers of slabs a and a + 1
            left, right = profile[a % n_slabs], profile[(a + 1) % n_slabs]
            edges.append((a + 0.5 + (middle - left) / (right - left)) / n_slabs)
        width = (edges[1] - edges[0]) % 1.0
        along = (z[k] - edges[0]) % 1.0
        outside = -np.minimum(1.0 - along, along - width)
        found[k] = lengths[k] * np.where(along < width, np.minimum(along, width - along), outside)
        ice[k] = 1.0 - width
    return found, ice


def _profile(z: Float, order: Float, n_slabs: int) -> Float:
    """Return the mean over each slab and its two neighbors."""
    slab = (z * n_slabs).astype(np.int64) % n_slabs
    sums = np.bincount(slab, order, n_slabs)
    counts = np.bincount(slab, minlength=n_slabs).astype(np.float64)
    around = [np.roll(sums, shift) for shift in (-1, 0, 1)]
    return np.asarray(sum(around) / sum(np.roll(counts, shift) for shift in (-1, 0, 1)))


def _liquid(above: Float) -> tuple[int, int]:
    """Return the first slab of the liquid, and the first one after it (may be ≥ n).

    It is the stretch around the box with the largest sum: a slab in the middle of the liquid that
    looks like ice in one frame does not end it.
    """
    if not above.min() < 0.0 < above.max():
        raise SystemExit("expected ice and liquid in every frame: one of them has gone.")
    n = len(above)
    sums = np.concatenate([[0.0], np.cumsum(np.tile(above, 2))])
    starts, widths = np.arange(n)[:, None], np.arange(1, n)
    start, width = divmod(int((sums[starts + widths] - sums[starts]).argmax()), n - 1)
    return start, start + width + 1


def shares(result: AnalysisResult, route: str, distance: Float) -> Float:
    """Return the share of every environment at every distance, (n_bins, n_environments)."""
    final = result[route].final
    place = np.digitize(distance, BINS) - 1
    table = np.zeros((len(BINS) - 1, final.n_clusters))
    known = final.labels >= 0
    np.add.at(table, (place[known], final.labels[known]), 1.0)
    return table / np.maximum(1.0, table.sum(axis=1, keepdims=True))


def table(result: AnalysisResult, distance: Float, ice: Float) -> str:
    """Return the shares of all environments as text."""
    delta = result.smoothed_delta.values
    blocks = ", ".join(f"{part.mean():.3f}" for part in np.array_split(ice, 5))
    place = np.digitize(distance, BINS) - 1
    names = [f"{a:.0f} to {b:.0f}" for a, b in pairwise(BINS)]
    means = [delta[place == k].mean() for k in range(len(names))]
    lines = [
        f"share of ice in the length, in fifths of the run: {blocks}",
        "distance to the interface [Å], negative in ice; below it mean δ, and shares in %",
        " ".join([f"{'':28}", *(f"{name:>9}" for name in names)]),
        " ".join([f"{'δ':28}", *(f"{mean:9.3f}" for mean in means)]),
    ]
    for route in ("soap", "soap_lens", "lens"):
        found = 100.0 * shares(result, route, distance)
        for label in result.names[route].order:
            inside = result[route].final.labels == label
            title = f"{result[route].title} {result.names[route].marks[label]}"
            title += f" ({100 * inside.mean():.1f} %, δ {delta[inside].mean():.2f})"
            lines.append(" ".join([f"{title:28}", *(f"{share:9.1f}" for share in found[:, label])]))
    return "\n".join(lines)


def draw(path: str, result: AnalysisResult, distance: Float, picture: str) -> None:
    """Draw a frame, and the shares against the distance to the interface, by both routes."""
    import matplotlib.pyplot as plt
    from PIL import Image

    frame = len(distance) // 2
    with open_buffer(path) as buffer:
        k = int(np.searchsorted(buffer.steps, result["soap"].steps[frame]))
        matrix, origin = buffer.box(k)
        rows = np.searchsorted(buffer.atom_ids, result["soap"].atom_ids)
        edges = matrix.diagonal()
        where = (buffer.positions(k)[rows] - origin) % edges
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.2), width_ratios=[2, 1], layout="constrained")
    for (left, right), route in zip(axes, ("soap", "soap_lens"), strict=True):
        names, final = result.names[route], result[route].final
        order = where[:, 1].argsort()
        colors = names.rgb(final.labels[frame])[order]
        left.scatter(
            where[order, 2], where[order, 0], c=colors, s=22, edgecolors="black", linewidths=0.3
        )
        left.set(title=result[route].title, aspect="equal", xlabel="z [Å]", yticks=[])
        bins = np.arange(-13.0, 14.0, 2.0)
        place = np.digitize(distance, bins) - 1
        for label in names.order:
            inside = final.labels == label
            found = [100.0 * inside[place == k].mean() for k in range(len(bins) - 1)]
            name = names.names[label]
            right.plot(bins[:-1] + 1.0, found, color=names.colors[label], marker=".", label=name)
        right.set(ylabel="share [%]", ylim=(0, 102), xlabel="ice   ←   distance [Å]   →   liquid")
        right.legend(fontsize=7)
    figure.savefig(picture, dpi=100, bbox_inches="tight")
    Image.open(picture).convert("RGB").quantize(64).save(picture, optimize=True)


def main() -> None:
    """Print the table of a recording and its results, and draw the picture."""
    path, folder, *picture = sys.argv[1:]
    result = load_results(f"{folder}/results.h5")
    distance, ice = distances(path, result)
    print(table(result, distance, ice))
    for name in picture:
        draw(path, result, distance, name)


if __name__ == "__main__":
    main()
