"""HTTP/1.1 by hand over one kept connection: a target is sent byte for byte, whatever it holds."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import BinaryIO, Final, Self
from urllib.parse import urlsplit

_SCOPE: Final = re.compile(r'scope="([^"]*)"')
_WITHOUT_BODY: Final = (204, 304)


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `status` 0: the connection was closed without one."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @property
    def site(self) -> str:
        return self.headers.get("x-geo-site", "")

    @property
    def reason(self) -> str:
        return self.headers.get("x-geo-reason", "")

    @property
    def digest(self) -> str:
        return self.headers.get("docker-content-digest", "")

    @property
    def asked(self) -> str:
        """Type and name of what the challenge wants a token for: as which name the path was read."""
        found = _SCOPE.search(self.headers.get("www-authenticate", ""))
        return found[1].rpartition(":")[0] if found else ""

    @property
    def content(self) -> tuple[int, str, str]:
        """What a client gets: status, digest, and its body's hash."""
        return self.status, self.digest, hashlib.sha256(self.body).hexdigest()


class Wire:
    """A client of one URL. Where the server closes, the next request dials anew. Raises OSError."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = f"{parts.hostname}:{parts.port}"
        self._where = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._reader = None

    def ask(
        self, method: str, target: bytes, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        fields = {"Host": self.host, **(headers or {})}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = (
            method.encode() + b" " + target + b" HTTP/1.1\r\n" + head.encode("latin-1") + b"\r\n" + (body or b"")
        )
        kept = self._socket is not None
        answer = self._exchange(method, request)
        if answer.status == 0 and kept:  # closed since the last one
            answer = self._exchange(method, request)
        return answer

    def _exchange(self, method: str, request: bytes) -> Answer:
        try:
            if self._socket is None or self._reader is None:
                self._socket = socket.create_connection(self._where, timeout=30)
                # A head and the next are small and alternate: without this each waits for an acknowledgement.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._reader = self._socket.makefile("rb")
            self._socket.sendall(request)
            return self._answer(method, self._reader)
        except (ConnectionError, EOFError):
            self.close()
            return Answer(0)

    def _answer(self, method: str, reader: BinaryIO) -> Answer:
        line = _line(reader).split(b" ", 2)
        status, headers = int(line[1]), {}
        while field_ := _line(reader):
            name, _, value = field_.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if 100 <= status < 200:
            return self._answer(method, reader)
        body = b"" if method == "HEAD" or status in _WITHOUT_BODY else _body(reader, headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)


def _line(reader: BinaryIO) -> bytes:
    line = reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line.rstrip(b"\r\n")


def _body(reader: BinaryIO, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int(_line(reader).partition(b";")[0], 16):
            parts.append(reader.read(size))
            _line(reader)
        _line(reader)
        return b"".join(parts)
    if "content-length" in headers:
        return reader.read(int(headers["content-length"]))
    return reader.read()
