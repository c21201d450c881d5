"""Draw the picture of the README from the folder of an analysis: python picture.py DIR."""

import sys
from pathlib import Path

from PIL import Image

figures = Path(sys.argv[1]) / "figures"
parts = [
    Image.open(figures / f"finding_{name}.png").convert("RGB")
    for name in ("soap", "soap_lens", "sites")
]
height = min(part.height for part in parts)
parts = [part.resize((part.width * height // part.height, height)) for part in parts]
row = Image.new("RGB", (sum(part.width for part in parts), height), "white")
left = 0
for part in parts:
    row.paste(part, (left, 0))
    left += part.width
row.thumbnail((1000, height))
colors = row.quantize(128, Image.Quantize.FASTOCTREE)
colors.save(Path(__file__).with_name("mobile.png"), optimize=True)
