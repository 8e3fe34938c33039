"""What of an HTML page could do something, or lead somewhere: an oracle for pages with strangers' words in them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

_OWN_SCRIPT: Final = ("/assets/page.js",)
_ACTIVE: Final = frozenset({"base", "embed", "frame", "iframe", "img", "math", "object", "style", "template"})
"""Elements that our pages have none of, and that load or run something, or change what others mean."""
_ADDRESSES: Final = frozenset({"action", "formaction", "href", "src", "xlink:href"})


class _Looking(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _ACTIVE or (tag == "script" and given.get("src") not in _OWN_SCRIPT):
            self.found.append(f"<{tag}>")
        if tag == "meta" and "http-equiv" in given:
            self.found.append("<meta http-equiv>")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or not name.replace("-", "").isalnum():
                self.found.append(f"{tag} {name}=")
            # `//host` is another site, and so is `/\host`.
            if name in _ADDRESSES and not (value or "").startswith(("/", "#")):
                self.found.append(f"{tag} {name}={value}")
            if name in _ADDRESSES and (value or "")[:2] in {"//", "/\\"}:
                self.found.append(f"{tag} {name}={value}")


def acting(page: str) -> list[str]:
    """Elements and attributes that are not for a page of ours; empty when there are none."""
    looking = _Looking()
    looking.feed(page)
    looking.close()
    return looking.found
