"""What an event makes untrue or known: pure (operations 5 and 6 of docs/evidence.md).

Rules, the primary's events
1. They never add anything: what they say may be late, and what is not dropped is still bounded by its age.
2. A push by tag drops the tag's lease. A push by digest drops none: no registry tells a push by digest that moved
   tags (`?tag=`, OCI distribution spec 1.2) without their names, and dropping all leases for each child of an index
   would send every reader to the primary for each push. Through the gateway such a push is seen with its query.
3. Uploads, mounts and pulls change nothing that we keep. No registry tells a cancelled upload.
4. A delete by digest may take any tag with it, told or not (GitLab's registry with its metadata database tells none):
   all leases go, and the digest gets a tombstone. It may be a blob's: registries do not say which.
5. A delete with neither tag nor digest is the whole name's. A renamed path takes all names below with it, one event
   for all; nothing of the old and the new names is served here until the primary answers 200 for it: the new path
   may have had content before that the primary has no more.

Rules, the secondary's events
6. A registry refuses a manifest whose config or a layer is missing: all of them are present with it. Not so the
   children of an index: distribution 3 may be told to take an index without some. Each child is pushed itself.
7. Only a delete by digest takes presence away. A rename or a whole name's delete there is left to the fallback, which
   costs time only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from extproc.evidence.model import Invalidation
from extproc.notification.event import Action, Event, Site
from extproc.oci.media_type import INDEX_TYPES
from extproc.oci.reference import Digest, Name

_BLOB: Final = "application/octet-stream"
"""How distribution and GitLab's registry tell every blob. What is told otherwise may be a manifest."""


@dataclass(frozen=True, slots=True)
class Change:
    """`primary_changed`."""

    name: Name
    what: Invalidation
    pushed: Digest | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """`primary_dropped`."""

    name: Name
    below: bool = False
    """And for each name below it that the store knows."""


@dataclass(frozen=True, slots=True)
class Has:
    """`secondary_has`."""

    name: Name
    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """`secondary_lost`."""

    name: Name
    digest: Digest


Effect = Change | Drop | Has | Lost


def effects_of(site: Site, event: Event) -> tuple[Effect, ...]:
    """None for an event that changes nothing."""
    if event.name is None:
        return ()
    if site is Site.SECONDARY:
        return _of_secondary(event.name, event)
    return _of_primary(event.name, event)


def _of_primary(name: Name, event: Event) -> tuple[Effect, ...]:
    match event.action:
        case Action.PUSH if event.tag is not None or event.media_type != _BLOB:
            return (Change(name, Invalidation(tag=event.tag), pushed=event.digest),)
        case Action.DELETE if event.digest is not None or event.unkept:
            return (Change(name, Invalidation(tag=event.tag, all_leases=True, tombstone=event.digest)),)
        case Action.DELETE if event.tag is not None:
            return (Change(name, Invalidation(tag=event.tag)),)
        case Action.DELETE:
            return (Drop(name),)
        case Action.RENAME if event.renamed_to is not None:
            return Drop(name, below=True), Drop(event.renamed_to, below=True)
        case _:
            return ()


def _of_secondary(name: Name, event: Event) -> tuple[Effect, ...]:
    match event.action, event.digest:
        case ((Action.PUSH | Action.MOUNT), Digest() as digest):
            whole = event.media_type not in INDEX_TYPES
            return (Has(name, (digest, *(each.digest for each in event.references if whole))),)
        case Action.DELETE, Digest() as digest:
            return (Lost(name, digest),)
        case _:
            return ()


def by_name(effects: Iterable[Effect]) -> dict[Name, list[Effect]]:
    """Apart for each name, in their order; presence told several times in a row becomes one call."""
    found: dict[Name, list[Effect | dict[Digest, None]]] = {}
    for effect in effects:
        ordered = found.setdefault(effect.name, [])
        if not isinstance(effect, Has):
            ordered.append(effect)
            continue
        last = ordered[-1] if ordered else None
        if not isinstance(last, dict):
            last = {}
            ordered.append(last)
        last.update(dict.fromkeys(effect.digests))
    return {
        name: [Has(name, tuple(each)) if isinstance(each, dict) else each for each in ordered]
        for name, ordered in found.items()
    }
