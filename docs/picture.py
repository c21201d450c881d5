"""The pictures of the pages, from the folder that `strdyn demo -o DIR` writes: picture.py DIR.

The top of the report is a screenshot: it needs Chromium.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

FIGURES = {  # picture: figures of the analysis, side by side
    "cu211": ("finding_soap", "finding_soap_lens", "finding_sites"),
    "intervals": ("scan_interval",),
    "map": ("pca_environment_soap_lens",),
}
WIDTHS = {1: 640, 3: 1400}  # pixels, by the number of figures
WINDOW = (1150, 1215)  # pixels of the page

folder = Path(sys.argv[1])
pictures = Path(__file__).parent / "pictures"


def save(picture: Image.Image, width: int, name: str) -> None:
    """Write a picture with 256 colours, no wider than so many pixels."""
    picture.thumbnail((width, picture.height))
    colors = picture.quantize(256, Image.Quantize.FASTOCTREE)
    colors.save(pictures / f"{name}.png", optimize=True)


for name, parts in FIGURES.items():
    images = [Image.open(folder / "figures" / f"{part}.png").convert("RGB") for part in parts]
    height = min(image.height for image in images)
    images = [image.resize((image.width * height // image.height, height)) for image in images]
    row = Image.new("RGB", (sum(image.width for image in images), height), "white")
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    save(row, WIDTHS[len(parts)], name)

with tempfile.TemporaryDirectory() as spare:
    shot, page = Path(spare) / "page.png", (folder / "report.html").resolve().as_uri()
    size = f"--window-size={WINDOW[0]},{WINDOW[1]}"
    words = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", size]
    subprocess.run([*words, f"--screenshot={shot}", page], check=True, capture_output=True)
    save(Image.open(shot).convert("RGB"), 900, "report")
