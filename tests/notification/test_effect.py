"""What each event makes untrue or known: a table for each site."""

from __future__ import annotations

from typing import Any

import pytest

from extproc.evidence.model import Invalidation
from extproc.notification.effect import Change, Drop, Effect, Has, Lost, by_name, effects_of
from extproc.notification.envelope import parse_envelope
from extproc.notification.event import Action, Event, Site
from extproc.oci.reference import Name, Tag
from tests.notification.envelopes import (
    BLOB,
    D1,
    D2,
    D3,
    GITLAB_DATABASE_DELETE,
    GITLAB_RENAME,
    GITLAB_TAG_DELETE,
    INDEX,
    MANIFEST,
    NAME,
    NAME_DELETE,
    TAG,
    captured,
    envelope,
    event,
)
from tests.notification.test_envelope import BOTH, CONFIG, FIRST, LAYER, SECOND

OTHER = Name("g/other")
BY_TAG, BY_MULTI = Invalidation(tag=TAG), Invalidation(tag=Tag("multi"))
FOREIGN = "sha384:" + "a" * 96


def told(site: Site, body: bytes) -> tuple[Effect, ...]:
    (only,) = parse_envelope(body)
    return effects_of(site, only)


@pytest.mark.parametrize(
    ("capture", "primary", "secondary"),
    [
        pytest.param("push_blob", (), (Has(NAME, (CONFIG,)),), id="push of a blob"),
        pytest.param(
            "push_manifest_by_tag",
            (Change(NAME, BY_TAG, FIRST),),
            (Has(NAME, (FIRST, CONFIG, LAYER)),),
            id="push by tag",
        ),
        pytest.param(
            "push_manifest_by_digest",
            (Change(NAME, Invalidation(), SECOND),),
            (Has(NAME, (SECOND, CONFIG, LAYER)),),
            id="push by digest",
        ),
        pytest.param(
            "push_index", (Change(NAME, BY_MULTI, BOTH),), (Has(NAME, (BOTH,)),), id="an index, not its children"
        ),
        pytest.param("pull_manifest_by_head", (), (), id="pull of a manifest"),
        pytest.param("pull_blob", (), (), id="pull of a blob"),
        pytest.param("mount_blob", (), (Has(OTHER, (LAYER,)),), id="mount"),
        pytest.param(
            "delete_manifest",
            (Change(NAME, Invalidation(all_leases=True, tombstone=FIRST)),),
            (Lost(NAME, FIRST),),
            id="delete of a manifest",
        ),
        pytest.param("delete_tag_with_its_manifest", (Change(NAME, BY_TAG),), (), id="delete of a tag"),
        pytest.param(
            "delete_blob",
            (Change(NAME, Invalidation(all_leases=True, tombstone=LAYER)),),
            (Lost(NAME, LAYER),),
            id="delete of a blob",
        ),
    ],
)
def test_what_a_registry_sent(capture: str, primary: tuple[Effect, ...], secondary: tuple[Effect, ...]) -> None:
    assert told(Site.PRIMARY, captured(capture)) == primary
    assert told(Site.SECONDARY, captured(capture)) == secondary


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(
            GITLAB_RENAME,
            (Drop(Name("foo/foo/project"), below=True), Drop(Name("foo/bar/project"), below=True)),
            id="GitLab's rename",
        ),
        pytest.param(GITLAB_TAG_DELETE, (Change(NAME, BY_TAG),), id="GitLab's tag delete"),
        pytest.param(
            GITLAB_DATABASE_DELETE,
            (Change(NAME, Invalidation(all_leases=True, tombstone=D1)),),
            id="GitLab's delete without tag events",
        ),
        pytest.param(NAME_DELETE, (Drop(NAME),), id="a whole name"),
        pytest.param(
            event("delete", tag=TAG, digest=D1),
            (Change(NAME, Invalidation(tag=TAG, all_leases=True, tombstone=D1)),),
            id="tag and digest: both",
        ),
        pytest.param(
            event("delete", digest=FOREIGN), (Change(NAME, Invalidation(all_leases=True)),), id="a digest not kept"
        ),
        pytest.param(event("push", tag=TAG, digest=FOREIGN), (Change(NAME, BY_TAG),), id="a push of one"),
        pytest.param(event("push", tag=TAG), (Change(NAME, BY_TAG),), id="a push without a digest"),
        pytest.param(
            event("push", tag=TAG, digest=D1, mediaType=BLOB), (Change(NAME, BY_TAG, D1),), id="a tag is no blob's"
        ),
        pytest.param(
            event("push", digest=D1, mediaType="application/x"),
            (Change(NAME, Invalidation(), D1),),
            id="perhaps a manifest",
        ),
        pytest.param({"action": "restore"}, (), id="unknown"),
    ],
)
def test_the_primary(sent: dict[str, Any], expected: tuple[Effect, ...]) -> None:
    assert told(Site.PRIMARY, envelope(sent)) == expected


REFERENCES = [{"digest": D2, "mediaType": "application/vnd.oci.image.layer.v1.tar"}, {"digest": D3}]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(GITLAB_RENAME, (), id="rename"),
        pytest.param(NAME_DELETE, (), id="a whole name"),
        pytest.param(GITLAB_TAG_DELETE, (), id="a tag"),
        pytest.param(event("delete", digest=FOREIGN), (), id="a digest not kept"),
        pytest.param(event("push", tag=TAG), (), id="a push without a digest"),
        pytest.param(
            event("push", digest=D1, mediaType=MANIFEST, references=REFERENCES),
            (Has(NAME, (D1, D2, D3)),),
            id="a manifest with its parts",
        ),
        pytest.param(
            event("push", digest=D1, mediaType=INDEX, references=REFERENCES), (Has(NAME, (D1,)),), id="an index"
        ),
        pytest.param(
            event("push", digest=D1, references=REFERENCES), (Has(NAME, (D1, D2, D3)),), id="without a media type"
        ),
        pytest.param({"action": "restore"}, (), id="unknown"),
    ],
)
def test_the_secondary(sent: dict[str, Any], expected: tuple[Effect, ...]) -> None:
    assert told(Site.SECONDARY, envelope(sent)) == expected


@pytest.mark.parametrize("action", list(Action))
def test_the_primary_never_adds_and_the_secondary_never_invalidates(action: Action) -> None:
    for tag in (None, TAG):
        for digest in (None, D1):
            one = Event(action, NAME, tag, digest, renamed_to=OTHER if action is Action.RENAME else None)
            assert all(isinstance(each, Change | Drop) for each in effects_of(Site.PRIMARY, one))
            assert all(isinstance(each, Has | Lost) for each in effects_of(Site.SECONDARY, one))


def test_presence_in_a_row_becomes_one_call_and_order_is_kept() -> None:
    first, second = Has(NAME, (D1, D2)), Has(NAME, (D2, D3))
    between = Lost(NAME, D1)
    grouped = by_name([first, Has(OTHER, (D1,)), second, between, first])
    assert grouped == {NAME: [Has(NAME, (D1, D2, D3)), between, first], OTHER: [Has(OTHER, (D1,))]}


def test_changes_are_never_made_one() -> None:
    changes: list[Effect] = [Change(NAME, BY_TAG, D1), Change(NAME, BY_TAG, D1), Drop(NAME)]
    assert by_name(changes) == {NAME: changes}
