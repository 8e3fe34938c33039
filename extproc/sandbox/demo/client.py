"""One user's HTTP client: tokens from the issuer, one request at a time, each timed."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from extproc.sandbox.demo.step import StepFailed
from extproc.sandbox.image import INDEX, MANIFEST
from extproc.sandbox.issuer import SERVICE

ACCEPT: Final = ", ".join(
    (
        MANIFEST,
        INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, whole. `milliseconds` from the request's first byte to the body's last."""

    request: str
    status: int
    milliseconds: float
    headers: dict[str, str] = field(repr=False)
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def site(self) -> str:
        return self.headers.get("x-geo-site", "")

    @property
    def reason(self) -> str:
        return self.headers.get("x-geo-reason", "")

    @property
    def digest(self) -> str:
        return self.headers.get("docker-content-digest", "")


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Client:
    """A user (whose password is the same word) at one registry URL."""

    def __init__(self, url: str, auth_url: str, user: str) -> None:
        self._url = url
        self._auth_url = auth_url
        self._user = user
        self._tokens: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def log_in(self, scope: str) -> Answer:
        """Ask the issuer for a token of `scope`, and keep it. Raises StepFailed when it gives none."""
        credentials = base64.b64encode(f"{self._user}:{self._user}".encode()).decode()
        url = URL(self._auth_url).with_query(service=SERVICE, scope=scope)
        answer = await self._ask("GET", url, "/jwt/auth", {"Authorization": f"Basic {credentials}"})
        if answer.status != 200:
            raise StepFailed(f"the issuer answered {answer.status} to {self._user}")
        self._tokens[scope] = str(_json(answer.body)["token"])
        return answer

    async def send(
        self, method: str, path: str, *, scope: str = "", headers: Headers | None = None, body: bytes | None = None
    ) -> Answer:
        """One request, with a token of `scope` if given. Redirects are not followed.

        Raises aiohttp.ClientError, StepFailed.
        """
        sent = {"Accept": ACCEPT, **(headers or {})}
        if scope:
            if scope not in self._tokens:
                await self.log_in(scope)
            sent["Authorization"] = f"Bearer {self._tokens[scope]}"
        url = URL(path if path.startswith("http") else self._url + path, encoded=True)
        return await self._ask(method, url, url.path, sent, body)

    async def _ask(
        self, method: str, url: URL, shown: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        if self._session is None:
            raise StepFailed("the client is used outside its context")
        started = time.perf_counter()
        async with self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            content = await response.read()
            return Answer(
                f"{method} {shown}",
                response.status,
                (time.perf_counter() - started) * 1000,
                {name.lower(): value for name, value in response.headers.items()},
                content,
            )

    async def pull(self, name: str, kind: str, reference: str, headers: Headers | None = None) -> Answer:
        """GET one of `manifests` or `blobs`, with a token that can only pull."""
        path = f"/v2/{name}/{kind}/{reference}"
        return await self.send("GET", path, scope=f"repository:{name}:pull", headers=headers)

    async def push_blob(self, name: str, content: bytes) -> str:
        """Its digest. Raises StepFailed when the registry does not take it."""
        scope, digest = f"repository:{name}:pull,push", digest_of(content)
        started = await self.send("POST", f"/v2/{name}/blobs/uploads/", scope=scope)
        location = started.headers.get("location", "")
        if started.status != 202 or not location:
            raise StepFailed(f"an upload to {name} began with {started.status}")
        # The state in the location's query is signed: only ever add to it.
        where = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        ended = await self.send("PUT", where, scope=scope, body=content)
        if ended.status != 201:
            raise StepFailed(f"an upload to {name} ended with {ended.status}")
        return digest


def _json(body: bytes) -> dict[str, object]:
    document = json.loads(body)
    return document if isinstance(document, dict) else {}
