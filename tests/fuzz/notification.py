"""The body of a notification, from its bytes to what the store has of it, for both sites.

An input is a body. Whatever it is, the reader's one error is NotificationInvalid, with a short line that holds no
control characters; and what is read does to the store what docs/evidence.md says: the primary's events add nothing,
the secondary's touch neither leases nor tombstones.
"""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any, Final

from extproc.evidence.memory import MemoryStore
from extproc.evidence.model import DigestState, Invalidation, Observation
from extproc.notification.effect import Change, Drop, Effect, Has, Lost, effects_of
from extproc.notification.envelope import NotificationInvalid, parse_envelope
from extproc.notification.event import Action, Event, Site
from extproc.notification.ingest import Ingest, Outcome
from extproc.oci.reference import Digest, Name, Tag
from tests.fuzz.json_text import changed
from tests.fuzz.loop import run
from tests.support.clock import Clock

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_LONGEST_REASON: Final = 600
_SEEDED: Final = Name("g/app")
_TAG: Final = Tag("latest")
_LEASED, _GONE = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
_INDEX: Final = "application/vnd.oci.image.index.v1+json"


class _Recorder:
    """Counts, to compare with the events."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def counted(self, site: Site, action: Action, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def delayed(self, site: Site, seconds: float) -> None:
        assert seconds >= 0

    def arrived(self, seconds: float) -> None:
        assert seconds >= 0


def check(data: bytes) -> str:
    try:
        events = parse_envelope(data)
    except NotificationInvalid as error:
        assert str(error).isascii() and str(error).isprintable() and len(str(error)) < _LONGEST_REASON
        return "invalid"
    told = json.loads(data)["events"]
    assert len(events) == len(told)
    for event, each in zip(events, told, strict=True):
        _read_right(event, each)
    effects = [effect for event in events for effect in _primary(event)]
    for event in events:
        _secondary(event)
    for site in Site:
        run(_taken(site, events))
    return "changes" if effects else "taken"


def mutate(data: bytes, random: Random) -> bytes:
    return changed(data, random)


def _read_right(event: Event, told: dict[str, Any]) -> None:
    """What must not be overlooked, read by the letter: each deletion and each push of a tag."""
    known = {action.value for action in Action} - {Action.OTHER.value}
    assert (event.action is Action.OTHER) == (told.get("action") not in known)
    target = told.get("target")
    if event.action is Action.OTHER or event.action is Action.RENAME or not isinstance(target, dict):
        return
    assert event.name == target["repository"]
    assert event.tag == (target.get("tag") or None)
    digest = target.get("digest") or None
    assert event.digest == (digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None)
    assert event.unkept == (digest is not None and event.digest is None)


def _primary(event: Event) -> tuple[Effect, ...]:
    effects = effects_of(Site.PRIMARY, event)
    assert all(isinstance(effect, Change | Drop) for effect in effects), "the primary's events add nothing"
    if event.action is Action.DELETE:
        assert effects, "a deletion that changes nothing"
        if event.digest is not None:
            assert any(isinstance(each, Change) and each.what.tombstone == event.digest for each in effects)
    if event.action is Action.PUSH and event.tag is not None:
        assert any(isinstance(each, Change) and each.what.tag == event.tag for each in effects)
    if event.action is Action.RENAME:
        assert {each.name for each in effects} == {event.name, event.renamed_to}
    return effects


def _secondary(event: Event) -> None:
    for effect in effects_of(Site.SECONDARY, event):
        assert isinstance(effect, Has | Lost)
        assert effect.name == event.name


async def _taken(site: Site, events: tuple[Event, ...]) -> None:
    clock = Clock()
    store = MemoryStore(absent_ttl=5, clock=clock)
    before = (await store.decide(_SEEDED, _TAG)).snapshot
    await store.learn(_SEEDED, before, Observation(_LEASED, tag=_TAG, media_type=_INDEX, primary_has=True))
    await store.primary_changed(_SEEDED, Invalidation(tombstone=_GONE))
    leased = (await store.decide(_SEEDED, _TAG)).lease
    recorder = _Recorder()
    await Ingest(store, recorder, now=Clock(1_800_000_000)).take(site, events)
    assert len(recorder.outcomes) == len(events)
    assert Outcome.UNAVAILABLE not in recorder.outcomes
    async for page in store.pages():
        for name in page:
            record = await store.inspect(name)
            states = {known.state for known in record.digests.values()}
            if site is Site.PRIMARY:
                assert DigestState.PRESENT not in states, "the primary's events add nothing"
                assert name == _SEEDED or not record.leases
            else:
                assert name == _SEEDED or DigestState.DELETED not in states
    gone = await store.decide(_SEEDED, _GONE)
    if site is Site.SECONDARY:
        assert (await store.decide(_SEEDED, _TAG)).lease == leased, "the secondary's events touch no lease"
        assert gone.digest is DigestState.DELETED, "the secondary's events touch no tombstone"
