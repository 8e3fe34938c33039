"""A registry's folder, written as a replication job that copies files would: thousands of tags in a second.

Source: distribution's storage layout (registry/storage/paths.go). The sandbox's registries keep no descriptors in
memory, so what is written or removed here counts at once.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from extproc.oci.reference import Digest
from tests.support.registry_client import digest_of


class RegistryStorage:
    """`root` is the registry's `rootdirectory`."""

    def __init__(self, root: Path) -> None:
        self._root = root / "docker" / "registry" / "v2"

    def blob(self, name: str, content: bytes) -> Digest:
        digest = self._content(content)
        self._link(self._of(name) / "_layers" / "sha256" / digest.encoded, digest)
        return digest

    def manifest(self, name: str, content: bytes, *tags: str) -> Digest:
        digest = self._content(content)
        self._link(self._of(name) / "_manifests" / "revisions" / "sha256" / digest.encoded, digest)
        for tag in tags:
            self._link(self._of(name) / "_manifests" / "tags" / tag / "current", digest)
        return digest

    def remove_tag(self, name: str, tag: str) -> None:
        shutil.rmtree(self._of(name) / "_manifests" / "tags" / tag)

    def remove_manifest(self, name: str, digest: Digest) -> None:
        """The name's, as garbage collection does: its tags still name it."""
        shutil.rmtree(self._of(name) / "_manifests" / "revisions" / "sha256" / digest.encoded)

    def remove_blob(self, name: str, digest: Digest) -> None:
        shutil.rmtree(self._of(name) / "_layers" / "sha256" / digest.encoded)

    def remove_name(self, name: str) -> None:
        shutil.rmtree(self._of(name))

    def _of(self, name: str) -> Path:
        return self._root / "repositories" / name

    def _content(self, content: bytes) -> Digest:
        digest = digest_of(content)
        data = self._root / "blobs" / "sha256" / digest.encoded[:2] / digest.encoded / "data"
        if not data.exists():
            data.parent.mkdir(parents=True, exist_ok=True)
            data.write_bytes(content)
        return digest

    @staticmethod
    def _link(folder: Path, digest: Digest) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "link").write_text(digest)
