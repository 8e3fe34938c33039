"""What a manifest needs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from extproc.oci.reference import Digest
from extproc.registry.manifest import ManifestInvalid, parse_manifest

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def entry(number: int, media_type: str = "", **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(number), "size": 1, **more}


@pytest.mark.parametrize(
    ("document", "children", "blobs"),
    [
        pytest.param(
            {
                "config": entry(1, f"{OCI}config.v1+json"),
                "layers": [entry(2, f"{OCI}layer.v1.tar+gzip"), entry(3, f"{OCI}layer.v1.tar+gzip")],
            },
            [],
            [1, 2, 3],
            id="an image",
        ),
        pytest.param({"config": entry(1), "layers": [entry(2), entry(2), entry(1)]}, [], [1, 2], id="blobs twice"),
        pytest.param(
            {
                "config": entry(1),
                "layers": [
                    entry(2, f"{DOCKER}image.rootfs.foreign.diff.tar.gzip"),
                    entry(3, f"{OCI}layer.nondistributable.v1.tar+gzip"),
                    entry(4, urls=["https://example.com/layer"]),
                    entry(5, urls=[]),
                ],
            },
            [],
            [1, 5],
            id="layers that are kept elsewhere",
        ),
        pytest.param(
            {"manifests": [entry(1, f"{OCI}manifest.v1+json"), entry(2, f"{OCI}index.v1+json"), entry(3)]},
            [1, 2, 3],
            [],
            id="an index",
        ),
        pytest.param(
            {"manifests": [entry(1, f"{DOCKER}distribution.manifest.v1+prettyjws; x=y")]},
            [1],
            [],
            id="an old child",
        ),
        pytest.param(
            {"manifests": [entry(1, f"{OCI}layer.v1.tar+gzip"), entry(2, "application/vnd.buildkit.cacheconfig.v0")]},
            [],
            [1, 2],
            id="a build cache",
        ),
        pytest.param({"manifests": []}, [], [], id="an empty index"),
        pytest.param(
            {"blobs": [entry(1)], "subject": entry(2)}, [], [1], id="an artifact; its subject is no part of it"
        ),
        pytest.param({"config": entry(1), "layers": None}, [], [1], id="null for a list"),
    ],
)
def test_children_and_blobs(document: dict[str, Any], children: list[int], blobs: list[int]) -> None:
    content = json.dumps(document).encode()
    own = Digest("sha256:" + hashlib.sha256(content).hexdigest())
    found = parse_manifest(own, f"{OCI}manifest.v1+json", content)
    assert (found.digest, found.media_type) == (own, f"{OCI}manifest.v1+json")
    assert found.children == tuple(map(digest, children))
    assert found.blobs == tuple(map(digest, blobs))


def test_sha512() -> None:
    content = b"{}"
    own = Digest("sha512:" + hashlib.sha512(content).hexdigest())
    assert parse_manifest(own, "x", content).digest == own


def test_other_content_than_asked_for_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="another digest"):
        parse_manifest(digest(1), "x", b"{}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"{", "not JSON", id="no JSON"),
        pytest.param(b"\xff", "not JSON", id="no text"),
        pytest.param(b"[" * 50_000, "not JSON", id="deep"),
        pytest.param(b"[]", "not a JSON object", id="a list"),
        pytest.param(b'{"layers":{}}', "layers are not a list", id="layers as an object"),
        pytest.param(b'{"manifests":["x"]}', "not a descriptor", id="texts"),
        pytest.param(b'{"config":[]}', "no usable digest: 'None'", id="a config that is none"),
        pytest.param(b'{"config":{"digest":7}}', "no usable digest: '7'", id="a number"),
        pytest.param(b'{"layers":[{"digest":"md5:x"}]}', "no usable digest: 'md5:x'", id="another algorithm"),
    ],
)
def test_what_cannot_be_read_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ManifestInvalid, match=words):
        parse_manifest(Digest("sha256:" + hashlib.sha256(content).hexdigest()), "x", content)
