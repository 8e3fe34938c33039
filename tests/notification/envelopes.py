"""Envelopes for tests: made here, recorded from docker-registry 2.8.2 (captures/), or as GitLab describes its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from extproc.oci.reference import Digest, Name, Tag

CAPTURES: Final = Path(__file__).with_name("captures")
V1: Final = "application/vnd.docker.distribution.events.v1+json"
V2: Final = "application/vnd.docker.distribution.events.v2+json"
BLOB: Final = "application/octet-stream"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
NAME, TAG = Name("g/app"), Tag("latest")
D1, D2, D3 = (Digest(f"sha256:{digit * 64}") for digit in "123")

GITLAB_RENAME: Final[dict[str, Any]] = {
    "id": "7275155c-d982-4e4f-9a44-ae8ba6731d6a",
    "timestamp": "2024-10-22T18:39:11.410627455Z",
    "action": "rename",
    "target": {
        "rename": {"type": "namespace", "from": "foo/foo/project", "to": "foo/bar/project"},
        "repository": "foo/foo/project",
    },
    "request": {"id": "8cef8bab", "addr": "192.0.2.7:35140", "host": "registry.example.com", "method": "PATCH"},
    "actor": {"name": "test-user", "user_type": "gitlab_test", "user": "user-jwt"},
    "source": {"addr": "c13aa3fb836c"},
}
"""From https://gitlab.com/gitlab-org/container-registry/-/merge_requests/1869; one for a path and all names below."""

GITLAB_TAG_DELETE: Final[dict[str, Any]] = {
    "action": "delete",
    "target": {"digest": "", "repository": "g/app", "tag": "latest"},
    "actor": {"name": "test-user", "user_type": "gitlab_test", "user": "user-jwt"},
}
GITLAB_DATABASE_DELETE: Final[dict[str, Any]] = {"action": "delete", "target": {"digest": D1, "repository": "g/app"}}
"""With the metadata database, no tag events follow."""
NAME_DELETE: Final[dict[str, Any]] = {"action": "delete", "target": {"repository": "g/app"}}
"""`RepoDeleted` of distribution and GitLab's registry (notifications/bridge.go)."""


def captured(name: str) -> bytes:
    return (CAPTURES / f"{name}.json").read_bytes()


def envelope(*events: dict[str, Any]) -> bytes:
    return json.dumps({"events": events}).encode()


def event(action: str, name: str = NAME, **target: Any) -> dict[str, Any]:
    """`target` by the field's name: tag, digest, mediaType, references."""
    return {"action": action, "timestamp": "2026-11-24T20:14:51Z", "target": {"repository": name, **target}}
