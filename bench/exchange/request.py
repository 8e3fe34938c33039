"""The requests that are measured, as a script of wrk."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.auth.issuer import claims, token

NAMES: Final = 100
"""Repositories that are asked for in turns, each with a token of its own."""
DIGEST: Final = "sha256:" + hashlib.sha256(b"{}").hexdigest()
"""The registry says of every manifest that this is it."""
MEDIA_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
ACCEPT: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        MEDIA_TYPE,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
DONE: Final = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'JSON{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "broken": %d, "refused": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""


class Kind(Enum):
    """By the words of bench.json."""

    TOKEN = "token"  # noqa: S105 - a word
    """No token: 401."""
    DIGEST = "digest"
    """A blob, known to be present."""
    TAG = "tag"
    """A manifest by a tag with a fresh lease."""
    WRITE = "write"
    """A manifest's PUT: two messages, two calls of the store."""


@dataclass(frozen=True)
class Requests:
    """Of one kind."""

    kind: Kind

    @property
    def method(self) -> str:
        return "PUT" if self.kind is Kind.WRITE else "GET"

    def path(self, number: int) -> str:
        name = f"group-{number}/project/app"
        return f"/v2/{name}/blobs/{DIGEST}" if self.kind is Kind.DIGEST else f"/v2/{name}/manifests/v1.{number}"

    def headers(self, number: int) -> dict[str, str]:
        headers = {"Accept": ACCEPT, "User-Agent": "containerd/1.7.24"}
        if self.kind is not Kind.TOKEN:
            actions = ["pull", "push"] if self.kind is Kind.WRITE else ["pull"]
            access = [{"type": "repository", "name": f"group-{number}/project/app", "actions": actions}]
            now = int(time.time())
            made = token(claims(iat=now, nbf=now - 5, exp=now + 24 * 3600, access=access))
            headers["Authorization"] = f"Bearer {made}"
        if self.kind is Kind.WRITE:
            headers["Content-Type"] = MEDIA_TYPE
        return headers

    def script(self) -> str:
        """In Lua, for wrk: the names in turns."""
        made = "\n".join(
            f"made[{number + 1}] = wrk.format({self.method!r}, {self.path(number)!r}, "
            f"{_table(self.headers(number))}, {'{}' if self.kind is Kind.WRITE else ''!r})"
            for number in range(NAMES)
        )
        return (
            f"local made, at = {{}}, 0\ninit = function(args)\n{made}\nend\n"
            f"request = function() at = at % {NAMES} + 1; return made[at] end\n{DONE}"
        )


def _table(headers: dict[str, str]) -> str:
    return "{" + ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()) + "}"
