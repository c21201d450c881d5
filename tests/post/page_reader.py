"""What a report shows, to be compared with what it is made of."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page shows under each data-key, what it refers to, and its elements by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}
        self.references: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self._key: str | None = None
        self.feed(text)

    def handle_starttag(self, _tag, attrs):
        attributes = dict(attrs)
        self._key = attributes.get("data-key")
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("src", "href", "xlink:href", "action", "data"):
            if name in attributes:
                self.references.append(attributes[name])

    def handle_data(self, data):
        self.texts.append(data)
        if self._key:
            self.shown[self._key] = data.replace("\N{NO-BREAK SPACE}", " ")
            self._key = None

    @property
    def texts_in_one(self) -> str:
        """Return all texts in one line."""
        text = re.sub(r"\s+", " ", " ".join(self.texts))
        return text.replace("\N{NO-BREAK SPACE}", " ")
