"""Draw a picture of the README from the folder of an analysis: python picture.py DIR NAME.png."""

import sys
from pathlib import Path

from PIL import Image

WIDTH = 1000

figures = Path(sys.argv[1]) / "figures"
parts = [
    Image.open(figures / f"{name}.png").convert("RGB")
    for name in ("finding_soap", "finding_soap_lens", "finding_sites", "lens_series")
]
*row, series = parts
height = min(part.height for part in row)
row = [part.resize((part.width * height // part.height, height)) for part in row]
line = Image.new("RGB", (sum(part.width for part in row), height), "white")
left = 0
for part in row:
    line.paste(part, (left, 0))
    left += part.width
lines = [part.resize((WIDTH, part.height * WIDTH // part.width)) for part in (line, series)]
picture = Image.new("RGB", (WIDTH, sum(part.height for part in lines)), "white")
picture.paste(lines[0], (0, 0))
picture.paste(lines[1], (0, lines[0].height))
colors = picture.quantize(128, Image.Quantize.FASTOCTREE)
colors.save(Path(__file__).with_name(sys.argv[2]), optimize=True)
