"""Layouts hold what they name, and the same input gives the same digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from extproc.sandbox.image import INDEX, MANIFEST, REF_NAME, content, write_image


def blob(directory: Path, digest: str) -> bytes:
    data = (directory / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    return data


def document(directory: Path, digest: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(blob(directory, digest))
    return loaded


def test_a_manifest_with_its_layers(tmp_path: Path) -> None:
    digest = write_image(tmp_path, "one", [b"first", b"second"])
    manifest = document(tmp_path, digest)
    assert manifest["mediaType"] == MANIFEST
    config = document(tmp_path, manifest["config"]["digest"])
    for number, (layer, diff_id, data) in enumerate(
        zip(manifest["layers"], config["rootfs"]["diff_ids"], [b"first", b"second"], strict=True)
    ):
        plain = gzip.decompress(blob(tmp_path, layer["digest"]))
        assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == diff_id
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            file = archive.extractfile(f"layer-{number}")
            assert file is not None
            assert file.read() == data


def test_an_index_of_two_platforms(tmp_path: Path) -> None:
    index = document(tmp_path, write_image(tmp_path, "both", [b"x"], index=True))
    assert index["mediaType"] == INDEX
    assert [child["platform"]["architecture"] for child in index["manifests"]] == ["amd64", "arm64"]
    amd64, arm64 = (document(tmp_path, child["digest"]) for child in index["manifests"])
    assert amd64["layers"] == arm64["layers"]
    assert amd64["config"] != arm64["config"]


def test_digests_depend_on_content_alone(tmp_path: Path) -> None:
    digests = [write_image(tmp_path / name, name, [content(1000, seed=1)]) for name in ("a", "b")]
    assert digests[0] == digests[1] != write_image(tmp_path / "c", "c", [content(1000, seed=2)])


def test_a_tag_moves_and_others_stay(tmp_path: Path) -> None:
    kept = write_image(tmp_path, "kept", [b"1"])
    write_image(tmp_path, "moved", [b"2"])
    moved = write_image(tmp_path, "moved", [b"3"])
    entries = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert {entry["annotations"][REF_NAME]: entry["digest"] for entry in entries} == {
        "kept": kept,
        "moved": moved,
    }
