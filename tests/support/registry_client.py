"""A registry client for tests: tokens by the challenge's rules, uploads, manifests; every answer is recorded."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from extproc.oci.reference import Digest
from tests.support.heads import EVERY_TYPE

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, as a client sees it."""

    status: int
    site: str
    reason: str
    digest: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False, default_factory=dict)


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def manifest_of(config: bytes, version: str, layers: tuple[bytes, ...] = ()) -> bytes:
    """An OCI manifest; `version` makes its digest."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest_of(layer),
                "size": len(layer),
            }
            for layer in layers
        ],
        "annotations": {"version": version},
    }
    return json.dumps(document).encode()


class RegistryClient:
    """One user on one registry URL. `connections` bounds how many are open at once."""

    def __init__(
        self, url: str, auth_url: str, user: str = "admin", *, connections: int = 4, ca: Path | None = None
    ) -> None:
        self._url = url
        self._auth_url = auth_url
        self._user = user
        self._connections = connections
        self._tls: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
        self._tokens: dict[str, str] = {}
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=60),
            # Response bodies are compared by digest: what is stored must come back as it is.
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def token(self, scope: str) -> str:
        """A token for `scope`, from the issuer, kept for later calls."""
        if scope not in self._tokens:
            basic = base64.b64encode(f"{self._user}:{self._user}".encode()).decode()
            query = {"service": "container_registry", "scope": scope}
            headers = {"Authorization": f"Basic {basic}"}
            async with self._http.get(self._auth_url, params=query, headers=headers) as response:
                response.raise_for_status()
                self._tokens[scope] = (await response.json())["token"]
        return self._tokens[scope]

    def forget_tokens(self) -> None:
        """The next call of each scope fetches one."""
        self._tokens.clear()

    async def send(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request as it is written: `path` is sent byte for byte, redirects are not followed."""
        sent = dict(headers or {})
        if scope:
            sent["Authorization"] = f"Bearer {await self.token(scope)}"
        url = URL(path if path.startswith("http") else self._url + path, encoded=True)
        async with self._http.request(method, url, data=body, headers=sent, allow_redirects=False) as response:
            return Answer(
                response.status,
                response.headers.get("x-geo-site", ""),
                response.headers.get("x-geo-reason", ""),
                response.headers.get("docker-content-digest", ""),
                await response.read(),
                dict(response.headers),
            )

    async def read(self, name: str, kind: str, reference: str, *, method: str = "GET") -> Answer:
        """A pull of `manifests` or `blobs`, with a token that grants nothing else."""
        return await self.send(
            method,
            f"/v2/{name}/{kind}/{reference}",
            scope=f"repository:{name}:pull",
            headers={"Accept": EVERY_TYPE[0]},
        )

    async def push_blob(self, name: str, content: bytes) -> Answer:
        scope = f"repository:{name}:pull,push"
        started = await self.send("POST", f"/v2/{name}/blobs/uploads/", scope=scope)
        assert started.status == 202, started
        location = started.headers["Location"]
        separator = "&" if "?" in location else "?"
        return await self.send(
            "PUT",
            f"{location}{separator}digest={digest_of(content)}",
            scope=scope,
            body=content,
            headers={"Content-Type": "application/octet-stream"},
        )

    async def push_manifest(self, name: str, reference: str, manifest: bytes) -> Answer:
        return await self.send(
            "PUT",
            f"/v2/{name}/manifests/{reference}",
            scope=f"repository:{name}:pull,push",
            body=manifest,
            headers={"Content-Type": MANIFEST},
        )

    async def push(self, name: str, tag: str, version: str, *layers: bytes) -> Digest:
        """A whole image; the digest of its manifest."""
        config = b"{}"
        for blob in (config, *layers):
            answer = await self.push_blob(name, blob)
            assert answer.status == 201, answer
        manifest = manifest_of(config, version, layers)
        answer = await self.push_manifest(name, tag, manifest)
        assert answer.status == 201, answer
        return digest_of(manifest)

    async def delete(self, name: str, reference: str) -> Answer:
        return await self.send("DELETE", f"/v2/{name}/manifests/{reference}", scope=f"repository:{name}:delete")
