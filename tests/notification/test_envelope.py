"""What the registries really send is read; what nobody sends is refused with a reason that says where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.notification.envelope import MOST_EVENTS, NotificationInvalid, parse_envelope
from extproc.notification.event import Action, Descriptor, Event
from extproc.oci.reference import Digest, Name, Tag
from tests.notification.envelopes import (
    BLOB,
    CAPTURES,
    D1,
    D2,
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

CONFIG = Digest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
LAYER = Digest("sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85")
FIRST = Digest("sha256:7315eddf47ff3e7146146683331aa9f1eec1712ca9a0848fd32ebcd8a93fd39e")
SECOND = Digest("sha256:b526de1582b899a9fbf5704d7c8dad2d73dd6d01a7d6ba107474ede357fc5964")
BOTH = Digest("sha256:c0a15cd59540d493a8e2d6b459c635c9399270bc45bba70854109fd8943558ca")
PARTS = (
    Descriptor(CONFIG, "application/vnd.oci.image.config.v1+json"),
    Descriptor(LAYER, "application/vnd.oci.image.layer.v1.tar"),
)
CHILDREN = (Descriptor(FIRST, MANIFEST), Descriptor(SECOND, MANIFEST))


def only(body: bytes) -> Event:
    (found,) = parse_envelope(body)
    return found


# What docker-registry 2.8.2 sent

CAPTURED = {
    "push_blob": Event(Action.PUSH, NAME, digest=CONFIG, media_type=BLOB),
    "push_manifest_by_tag": Event(Action.PUSH, NAME, TAG, FIRST, media_type=MANIFEST, references=PARTS),
    "push_manifest_by_digest": Event(Action.PUSH, NAME, digest=SECOND, media_type=MANIFEST, references=PARTS),
    "push_index": Event(Action.PUSH, NAME, Tag("multi"), BOTH, media_type=INDEX, references=CHILDREN),
    "pull_manifest_by_head": Event(Action.PULL, NAME, TAG, FIRST, media_type=MANIFEST, references=PARTS),
    "pull_blob": Event(Action.PULL, NAME, digest=LAYER, media_type=BLOB),
    "mount_blob": Event(Action.MOUNT, Name("g/other"), digest=LAYER, media_type=BLOB),
    "delete_manifest": Event(Action.DELETE, NAME, digest=FIRST),
    "delete_tag_with_its_manifest": Event(Action.DELETE, NAME, TAG),
    "delete_blob": Event(Action.DELETE, NAME, digest=LAYER),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_what_a_registry_sent(name: str) -> None:
    found = only(captured(name))
    assert found.at is not None
    expected = CAPTURED[name]
    assert found == Event(
        expected.action,
        expected.name,
        expected.tag,
        expected.digest,
        media_type=expected.media_type,
        references=expected.references,
        at=found.at,
    )


def test_every_capture_is_tested() -> None:
    assert {file.stem for file in CAPTURES.glob("*.json")} == set(CAPTURED)


def test_the_time_has_nanoseconds() -> None:
    found = only(captured("delete_manifest"))
    assert found.at == pytest.approx(1795551291.808504, abs=1e-3)


# What GitLab describes


def test_gitlabs_rename() -> None:
    found = only(envelope(GITLAB_RENAME))
    assert (found.action, found.name, found.renamed_to) == (
        Action.RENAME,
        Name("foo/foo/project"),
        Name("foo/bar/project"),
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(GITLAB_TAG_DELETE, Event(Action.DELETE, NAME, TAG), id="a tag, its digest empty"),
        pytest.param(GITLAB_DATABASE_DELETE, Event(Action.DELETE, NAME, digest=D1), id="a digest alone"),
        pytest.param(NAME_DELETE, Event(Action.DELETE, NAME), id="a whole name"),
    ],
)
def test_deletes(sent: dict[str, Any], expected: Event) -> None:
    assert only(envelope(sent)) == expected


# What is tolerated


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param({}, Event(Action.PUSH, NAME), id="nothing but the name"),
        pytest.param({"references": None}, Event(Action.PUSH, NAME), id="references null"),
        pytest.param({"tag": None, "digest": None, "mediaType": None}, Event(Action.PUSH, NAME), id="nulls"),
        pytest.param({"references": {"a": 1}}, Event(Action.PUSH, NAME), id="references no list"),
        pytest.param(
            {"references": [None, {}, {"digest": 1}, {"digest": "x"}, {"digest": D2, "mediaType": 5}]},
            Event(Action.PUSH, NAME, references=(Descriptor(D2),)),
            id="references that say nothing",
        ),
        pytest.param(
            {"references": [{"digest": D1, "urls": ["https://elsewhere"]}, {"digest": D2, "urls": []}]},
            Event(Action.PUSH, NAME, references=(Descriptor(D2),)),
            id="a layer that lies elsewhere",
        ),
        pytest.param({"length": 1, "size": -1, "new": {"field": []}}, Event(Action.PUSH, NAME), id="more fields"),
        pytest.param({"digest": "sha384:" + "a" * 96}, Event(Action.PUSH, NAME, unkept=True), id="a third algorithm"),
        pytest.param({"digest": "md5+x:Zz="}, Event(Action.PUSH, NAME, unkept=True), id="any algorithm"),
    ],
)
def test_what_does_not_matter(target: dict[str, Any], expected: Event) -> None:
    assert only(envelope({"action": "push", "target": {"repository": NAME, **target}})) == expected


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param(None, id="none"),
        pytest.param(5, id="a number"),
        pytest.param("yesterday", id="no time"),
        pytest.param("2026-11-24T20:14:51", id="without a zone"),
        pytest.param("0001-01-01T00:00:00Z", id="the zero of Go"),
    ],
)
def test_a_time_that_is_none(timestamp: object) -> None:
    assert only(envelope({**event("push"), "timestamp": timestamp})).at is None


@pytest.mark.parametrize("action", ["restore", "", "PUSH", None])
def test_an_unknown_action_is_no_fault_whatever_it_holds(action: object) -> None:
    assert only(envelope({"action": action, "target": 5})).action is Action.OTHER


def test_no_events_are_fine() -> None:
    assert parse_envelope(b'{"events":[]}') == ()


def test_events_keep_their_order() -> None:
    found = parse_envelope(envelope(event("push", tag="a"), event("delete", digest=D1), event("pull")))
    assert [each.action for each in found] == [Action.PUSH, Action.DELETE, Action.PULL]


# What is refused

LONG = "x" * 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "the body is not JSON in UTF-8 at line 1", id="empty"),
        pytest.param(b'{"events":\n[}', "the body is not JSON in UTF-8 at line 2", id="no JSON"),
        pytest.param(b'{"events":["\xff"]}', "the body is not JSON in UTF-8", id="no UTF-8"),
        pytest.param('{"events":[]}'.encode("utf-16"), "the body is not JSON in UTF-8", id="UTF-16"),
        pytest.param(b"[" * 100_000, "the body is nested too deeply", id="deep"),
        pytest.param(
            b'{"events":[' + b"9" * 5000 + b"]}", "the body is not JSON in UTF-8", id="a number of 5,000 digits"
        ),
        pytest.param(b"[]", "the body has no list `events`", id="a list"),
        pytest.param(b"{}", "the body has no list `events`", id="no events"),
        pytest.param(b'{"events":null}', "the body has no list `events`", id="events null"),
        pytest.param(
            b'{"events":[' + b"{}," * MOST_EVENTS + b"{}]}", f"`events` has {MOST_EVENTS + 1} entries", id="many"
        ),
        pytest.param(b'{"events":[5]}', "event 0: the event of type int is not an object", id="no object"),
        pytest.param(envelope({"action": 5}), "event 0: action of type int is not a string", id="action"),
        pytest.param(envelope({"action": "push"}), "event 0: target (missing) is not an object", id="no target"),
        pytest.param(
            envelope({"action": "pull", "target": {}}),
            "event 0: target.repository '' is not a repository name",
            id="no repository",
        ),
        pytest.param(
            envelope(event("push"), event("push", name="Upper")),
            "event 1: target.repository 'Upper' is not a repository name",
            id="a bad name, second",
        ),
        pytest.param(
            envelope(event("delete", name="a/" + LONG + "/")),
            f"event 0: target.repository 'a/{LONG[:78]}\\u2026' is not a repository name",
            id="a long one, shortened",
        ),
        pytest.param(envelope(event("push", tag=".x")), "event 0: target.tag '.x' is not a tag", id="tag"),
        pytest.param(
            envelope(event("delete", digest="sha256:ABC")),
            "event 0: target.digest 'sha256:ABC' is not a digest",
            id="digest",
        ),
        pytest.param(
            envelope(event("delete", digest=[])), "event 0: target.digest of type list is not a string", id="type"
        ),
        pytest.param(
            envelope(event("push", mediaType={})), "event 0: target.mediaType of type dict", id="media type"
        ),
        pytest.param(
            envelope(event("rename")), "event 0: target.rename (missing) is not an object", id="rename of nothing"
        ),
        pytest.param(
            envelope({"action": "rename", "target": {"rename": {"from": "a/b"}}}),
            "event 0: target.rename.to '' is not a repository name",
            id="rename to nowhere",
        ),
        pytest.param(
            envelope({"action": "push", "target": {"repository": "\ud800"}}),
            "event 0: target.repository '\\ud800' is not a repository name",
            id="half a character",
        ),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(NotificationInvalid) as refused:
        parse_envelope(body)
    assert str(refused.value).startswith(reason)
    assert str(refused.value).isascii()
    assert len(str(refused.value)) < 300


# Whatever comes

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def field(*good: object) -> st.SearchStrategy[object]:
    return st.sampled_from(good) | ANYTHING


TARGETS = st.fixed_dictionaries(
    {},
    optional={
        "repository": field("g/app", "a"),
        "tag": field("latest", ""),
        "digest": field(D1, "", "sha384:ab"),
        "mediaType": field(MANIFEST, BLOB),
        "references": st.lists(
            st.fixed_dictionaries({}, optional={"digest": field(D2), "urls": field(None)}) | ANYTHING, max_size=3
        )
        | ANYTHING,
        "rename": st.fixed_dictionaries({}, optional={"from": field("a/b"), "to": field("a/c")}) | ANYTHING,
    },
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "action": field("push", "pull", "mount", "delete", "rename"),
        "target": TARGETS | ANYTHING,
        "timestamp": field("2026-11-24T20:14:51.8Z"),
    },
)
ENVELOPES = st.fixed_dictionaries({"events": st.lists(EVENTS | ANYTHING, max_size=4)}) | ANYTHING


@settings(max_examples=300, deadline=None)
@given(ENVELOPES)
def test_a_document_is_read_or_refused(document: object) -> None:
    check(json.dumps(document).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    check(body)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CAPTURED)), st.data())
def test_a_damaged_capture_is_read_or_refused(name: str, data: st.DataObject) -> None:
    body = bytearray(captured(name))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(body))


def check(body: bytes) -> None:
    try:
        events = parse_envelope(body)
    except NotificationInvalid as refused:
        assert str(refused).isascii()
        return
    for each in events:
        assert (each.name is None) == (each.action is Action.OTHER)
        assert (each.renamed_to is None) == (each.action is not Action.RENAME)
        assert not (each.unkept and each.digest is not None)
