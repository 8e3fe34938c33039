"""From the body of a notification to its events.

Forms: distribution 2.8 and 3 (notifications/event.go), and GitLab's registry, whose `rename` event is described in
https://gitlab.com/gitlab-org/container-registry/-/merge_requests/1869.

Rules
1. All or nothing: one event that cannot be read refuses the whole envelope, before anything of it is applied.
2. Only what invalidation or evidence needs is read. Unknown fields, missing fields, `null` lists and what only a
   person would read are tolerated: a registry that is refused sends the same envelope again, and others wait behind.
3. An action that we do not know is no fault. One that we know must name its repository.
4. An address (`url`, `source.addr`) is never read, so never followed.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Final, TypeVar

from extproc.notification.event import Action, Descriptor, Event
from extproc.oci.reference import Digest, Name, ReferenceInvalid, Tag

MOST_EVENTS: Final = 10_000
"""In one envelope. Registries send one; a sender that collects sends some hundreds."""
_SHOWN: Final = 80
"""Characters of a value that a reason repeats."""
_OTHER_DIGEST: Final = re.compile(r"(?!sha256:|sha512:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{1,256}", re.ASCII)
"""A well-formed digest (image spec, "Digests") of an algorithm that is not one of ours."""
_ACTIONS: Final = {action.value: action for action in Action if action is not Action.OTHER}

Grammar = TypeVar("Grammar", Name, Tag, Digest)


class NotificationInvalid(ValueError):
    """The envelope cannot be read. The message names the event by its place, the field and the value."""


def parse_envelope(body: bytes) -> tuple[Event, ...]:
    """The events in their order. Raises NotificationInvalid."""
    try:
        document = json.loads(body.decode("utf-8"))
    except RecursionError as error:
        raise NotificationInvalid("the body is nested too deeply") from error
    except ValueError as error:
        # Not the decoder's own words: they may repeat the body.
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise NotificationInvalid(f"the body is not JSON in UTF-8{where}") from error
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise NotificationInvalid("the body has no list `events`")
    if len(events) > MOST_EVENTS:
        raise NotificationInvalid(f"`events` has {len(events)} entries; send at most {MOST_EVENTS} at once")
    return tuple(_event(_Place(number), event) for number, event in enumerate(events))


class _Place:
    """Which event is being read, for reasons."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fault(self, field: str, value: object, wanted: str) -> NotificationInvalid:
        return NotificationInvalid(f"event {self._number}: {field} {_shown(value)} is not {wanted}")

    def table(self, field: str, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fault(field, value, "an object")
        return value

    def text(self, field: str, value: object) -> str:
        """Empty for what is missing: registries leave out, or send empty, what they have not."""
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.fault(field, value, "a string")
        return value

    def reference(self, field: str, text: str, kind: type[Grammar], wanted: str) -> Grammar:
        try:
            return kind(text)
        except ReferenceInvalid as error:
            raise self.fault(field, text, wanted) from error


def _event(place: _Place, value: object) -> Event:
    event = place.table("the event", value)
    action = _ACTIONS.get(place.text("action", event.get("action")), Action.OTHER)
    at = _seconds(event.get("timestamp"))
    if action is Action.OTHER:
        return Event(action, at=at)
    target = place.table("target", event.get("target"))
    if action is Action.RENAME:
        return _rename(place, target, at)
    name = place.reference(
        "target.repository", place.text("target.repository", target.get("repository")), Name, "a repository name"
    )
    tag = place.text("target.tag", target.get("tag"))
    digest = place.text("target.digest", target.get("digest"))
    unkept = _OTHER_DIGEST.fullmatch(digest) is not None
    return Event(
        action,
        name,
        tag=place.reference("target.tag", tag, Tag, "a tag") if tag else None,
        digest=place.reference("target.digest", digest, Digest, "a digest") if digest and not unkept else None,
        unkept=unkept,
        media_type=place.text("target.mediaType", target.get("mediaType")),
        references=_references(target.get("references")),
        at=at,
    )


def _rename(place: _Place, target: dict[str, Any], at: float | None) -> Event:
    rename = place.table("target.rename", target.get("rename"))
    former, latter = (
        place.reference(
            f"target.rename.{end}", place.text(f"target.rename.{end}", rename.get(end)), Name, "a repository name"
        )
        for end in ("from", "to")
    )
    return Event(Action.RENAME, former, renamed_to=latter, at=at)


def _references(value: object) -> tuple[Descriptor, ...]:
    """Those of our algorithms whose bytes the registry holds: it does not ask for layers that have `urls`."""
    found: list[Descriptor] = []
    for each in value if isinstance(value, list) else []:
        if not isinstance(each, dict) or each.get("urls"):
            continue
        digest, media_type = each.get("digest"), each.get("mediaType")
        try:
            found.append(Descriptor(Digest(str(digest)), media_type if isinstance(media_type, str) else ""))
        except ReferenceInvalid:
            continue
    return tuple(found)


def _seconds(timestamp: object) -> float | None:
    """RFC 3339, down to nanoseconds, as Go writes it. Anything else is no time, nor is Go's zero; metrics need it."""
    if not isinstance(timestamp, str):
        return None
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None and at.year >= 1970 else None


def _shown(value: object) -> str:
    if value is None:
        return "(missing)"
    if not isinstance(value, str):
        return f"of type {type(value).__name__}"
    return ascii(value if len(value) <= _SHOWN else value[:_SHOWN] + "…")
