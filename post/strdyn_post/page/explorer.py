"""The explorer: the viewer of chemiscope and its data, packed for a page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strdyn_post.colors import NOISE
from strdyn_post.exchange.chemiscope import load_chemiscope
from strdyn_post.names import Names

__all__ = ["explorer_payload"]

_BUNDLE = "sphinx/static/chemiscope.min.js"


def explorer_payload(data: Mapping[str, Any], names: Names) -> dict[str, str]:
    """Return viewer and data as gzip in base64; the page unpacks them.

    Parameters
    ----------
    data : mapping
        Of `chemiscope_data`.
    names : Names
        Of SOAP&LENS. The viewer shows the colours of the figures.

    Returns
    -------
    dict of str to str
        ``code`` (JavaScript) and ``data`` (JSON).

    Raises
    ------
    ImportError
        If chemiscope is missing, or its files have another layout.
    """
    bundle = Path(load_chemiscope().__file__).parent / _BUNDLE
    if not bundle.exists():
        raise ImportError(
            f"chemiscope has no {_BUNDLE}: its layout has changed. "
            "Install a version that fits: pip install 'chemiscope>=1.1,<2'."
        )
    code = _with_palette(bundle.read_text(encoding="utf-8"), names)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return {"code": _pack(code), "data": _pack(text)}


def _with_palette(code: str, names: Names) -> str:
    """Replace the colours of chemiscope's palette tab10 by ours: it has no setting for them."""
    colors = [NOISE, *(names.colors[label] for label in names.order)]
    stops = []
    for place, color in enumerate(colors):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        stops += [[place / len(colors), rgb], [(place + 1) / len(colors), rgb]]
    table = json.dumps(stops, separators=(",", ":"))
    changed, n_places = re.subn(r"(\btab10:\w+\()\[\[0,.*?\]\]\]\)", rf"\g<1>{table})", code)
    if n_places == 0:
        raise ImportError(
            "chemiscope's viewer has no palette tab10 that fits: its layout has changed. "
            "Install a version that fits: pip install 'chemiscope>=1.1,<2'."
        )
    return changed


def _pack(text: str) -> str:
    # no time stamp: the same analysis makes the same page
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
