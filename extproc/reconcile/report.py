"""What a run found, as a table for people and as one line of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Final

from extproc.reconcile.progress import duration
from extproc.reconcile.summary import Counts, Summary

_ROWS: Final = (
    ("names", "compared"),
    ("tags", "of the primary"),
    ("same", "the secondary's tag names the same digest"),
    ("behind", "the secondary's tag names another digest"),
    ("missing", "the secondary does not have the tag"),
    ("extra", "only the secondary has the tag"),
    ("incomplete", "the secondary has the manifest, but not all that it refers to"),
    ("unread", "tags that could not be compared"),
    ("busy", "names written to meanwhile: not all that was seen could be kept"),
    ("gone", "names that the primary does not know"),
    ("errors", "names that could not be read, or not wholly"),
    ("leases", "written: the tag is served from here while its lease is fresh"),
    ("present", "digests seen at the secondary"),
    ("dropped", "held before, and no longer true"),
)
_EXAMPLES: Final = tuple(each.name for each in fields(Counts) if each.name.endswith("_examples"))
_SHOWN: Final = 5


def document(summary: Summary) -> dict[str, Any]:
    return {
        **asdict(summary),
        "started": _moment(summary.started),
        "finished": _moment(summary.finished),
        "seconds": round(summary.finished - summary.started, 3),
    }


def lines(summary: Summary) -> Iterator[str]:
    taken = duration(summary.finished - summary.started)
    yield f"names from {summary.source}, compared in {taken}, begun {_moment(summary.started)}"
    for word, meaning in _ROWS:
        yield f"{word:11}{getattr(summary, word):>9}  {meaning}"
    for kind in _EXAMPLES:
        examples = getattr(summary, kind)
        word = kind.removesuffix("_examples")
        for example in examples[:_SHOWN]:
            yield f"{word:11} {example}"
        if len(examples) > _SHOWN:
            yield f"{word:11} … -o json tells more"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
