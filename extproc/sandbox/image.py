"""Images that need no internet: an OCI layout folder that clients copy from as `oci:FOLDER:TAG`.

Source: OCI image specification, "Image Layout", "Image Manifest", "Image Index".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

Descriptor = dict[str, Any]


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, always the same for the same size and seed."""
    return random.Random(seed).randbytes(size)


def write_image(directory: Path, tag: str, layers: Sequence[bytes], *, index: bool = False) -> str:
    """Add an image to the layout in `directory`, made when missing, and return its digest.

    Each of `layers` becomes one layer with one file of that content. With `index`, the tag names an index of two
    platforms, amd64 and arm64, that share the layers. A tag that exists is moved.
    """
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    packed = [_layer(blobs, number, data) for number, data in enumerate(layers)]
    if index:
        manifests = [
            {
                **_manifest(blobs, packed, architecture),
                "platform": {"os": "linux", "architecture": architecture},
            }
            for architecture in ("amd64", "arm64")
        ]
        top = _put_json(blobs, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)
    else:
        top = _manifest(blobs, packed, "amd64")
    _tag(directory / "index.json", tag, top)
    return str(top["digest"])


def _layer(blobs: Path, number: int, data: bytes) -> tuple[Descriptor, str]:
    """A layer's descriptor and its diff id, the digest of the tar inside."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(f"layer-{number}")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    # Compressed already, or clients would compress it on the way and change every digest.
    packed = gzip.compress(plain.getbuffer(), compresslevel=1, mtime=0)
    return _put(blobs, packed, LAYER), _digest(plain.getbuffer())


def _manifest(blobs: Path, layers: list[tuple[Descriptor, str]], architecture: str) -> Descriptor:
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _put_json(blobs, config, CONFIG),
        "layers": [descriptor for descriptor, _ in layers],
    }
    return _put_json(blobs, manifest, MANIFEST)


def _tag(file: Path, tag: str, top: Descriptor) -> None:
    known = json.loads(file.read_text())["manifests"] if file.exists() else []
    others = [entry for entry in known if entry["annotations"][REF_NAME] != tag]
    entry = {**top, "annotations": {REF_NAME: tag}}
    file.write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}))


def _put_json(blobs: Path, document: dict[str, Any], media_type: str) -> Descriptor:
    return _put(blobs, json.dumps(document, separators=(",", ":")).encode(), media_type)


def _put(blobs: Path, data: bytes, media_type: str) -> Descriptor:
    digest = _digest(data)
    (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _digest(data: bytes | memoryview) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
