"""The picture of the README from the folder of a demo: python docs/picture.py DIR."""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from strdyn_live import open_buffer
from strdyn_post import load_results
from strdyn_post.figures import plot_sites, plot_snapshot
from strdyn_post.palette import make_palettes

folder = Path(sys.argv[1])
result, buffer = load_results(folder), open_buffer(folder / "cu211.sdl")
soap, chi = result["soap"], result["soap_lens"]
palettes = make_palettes(result.routes)
(fast,) = palettes["soap_lens"].highlighted
frame = int((chi.final.labels == fast).sum(axis=1).argmax())

figure = Figure(figsize=(12.6, 3.7), layout="constrained")
structure, dynamics, sites = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
plot_snapshot(soap, buffer, palettes["soap"], frame=frame, ax=structure)
plot_snapshot(chi, buffer, palettes["soap_lens"], frame=frame, pale=True, ax=dynamics)
plot_sites(chi, soap, fast, palettes, ax=sites)
figure.savefig(Path(__file__).with_name("cu211.png"), dpi=110, facecolor="white")
