"""The pictures of the pages, from the folder that `strdyn demo -o DIR` writes: picture.py DIR."""

import sys
from pathlib import Path

from PIL import Image

PICTURES = {  # name: figures of the analysis, side by side
    "cu211": ("finding_soap", "finding_soap_lens", "finding_sites"),
    "intervals": ("scan_interval",),
    "map": ("pca_environment_soap_lens",),
}
WIDTHS = {1: 640, 3: 1400}  # pixels, by the number of figures

figures = Path(sys.argv[1]) / "figures"
for name, parts in PICTURES.items():
    images = [Image.open(figures / f"{part}.png").convert("RGB") for part in parts]
    height = min(image.height for image in images)
    images = [image.resize((image.width * height // image.height, height)) for image in images]
    row = Image.new("RGB", (sum(image.width for image in images), height), "white")
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    row.thumbnail((WIDTHS[len(parts)], height))
    row.quantize(128).save(Path(__file__).parent / "pictures" / f"{name}.png", optimize=True)
