"""What a supervisor tells its workers: all that is in force, in one line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from extproc.auth.keys import KeyDocument
from extproc.settings import Settings


@dataclass(frozen=True, slots=True)
class Orders:
    """The settings, with all secrets in them, and the keys: what the files had in them when they were adopted, for
    one may be broken since, or another; and what was fetched."""

    settings: Settings
    keys: tuple[KeyDocument, ...]

    def line(self) -> bytes:
        keys = [[document.place, document.content.decode("latin-1")] for document in self.keys]
        return json.dumps([self.settings.handed_on(), keys]).encode() + b"\n"

    @classmethod
    def taken(cls, line: bytes) -> Self:
        """What `line` wrote."""
        settings, keys = json.loads(line)
        documents = (KeyDocument(place, content.encode("latin-1")) for place, content in keys)
        return cls(Settings.taken(settings), tuple(documents))
