"""The media types of manifests (OCI image spec, "Media Types"; docker's image manifest v2, schema 2)."""

from __future__ import annotations

from typing import Final

INDEX_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
"""Those that list other manifests."""
LEASED_MEDIA_TYPES: Final = INDEX_TYPES | {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
"""Both index types and both manifest types: the only ones that a lease may carry."""


def bare_media_type(content_type: str) -> str:
    """`Content-Type` without its parameters, lower case."""
    return content_type.partition(";")[0].strip().lower()
