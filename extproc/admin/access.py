"""Who may read what the admin server shows: repositories' names, decisions, figures.

With `admin.secret_file` whoever sends its content: as a bearer token (RFC 6750), or as the password of basic
authentication (RFC 7617) with any user, which is what a browser asks for. Probes, copies and notifications need none.

Without it, everybody who reaches the address. But a page in somebody's browser reaches loopback, too, by a name that
it lets point there ("DNS rebinding"); what comes so has that name as its Host, and is refused.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Final

from aiohttp import hdrs, web

from extproc.admin.line import line
from extproc.admin.server import Page
from extproc.notification.secret import Secret
from extproc.settings import Endpoint

_CHALLENGE: Final = 'Basic realm="geo-extproc", charset="UTF-8"'
_BASIC: Final = "basic "


class Readers:
    """Guards pages."""

    def __init__(self, address: Endpoint, secret: Secret | None) -> None:
        """`address`: where the admin server listens. None: no secret is asked for."""
        self._secret = secret
        self._host = address.host
        self._on_loopback = _is_loopback(address.host)

    def only(self, page: Page) -> Page:
        """The page, for those who may read it."""

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            return self._refusal(request) or await page(request)

        return guarded

    def _refusal(self, request: web.BaseRequest) -> web.Response | None:
        if self._secret is not None:
            if self._secret.admits(_offered(request.headers.get(hdrs.AUTHORIZATION, ""))):
                return None
            fault = "send the content of admin.secret_file as a bearer token, or as a password with any user name"
            return line({"error": fault}, 401, {hdrs.WWW_AUTHENTICATE: _CHALLENGE})
        host = _host(request.headers.get(hdrs.HOST, ""))
        if self._on_loopback and not (_is_loopback(host) or host == self._host):
            fault = f"host {host[:100]!r}: ask for {self._host} or localhost, or set admin.secret_file"
            return line({"error": fault}, 421)
        return None


def _offered(authorization: str) -> str:
    """The secret in it; as it is where it is not basic authentication."""
    if authorization[: len(_BASIC)].lower() != _BASIC:
        return authorization
    try:
        decoded = base64.b64decode(authorization[len(_BASIC) :].strip(), validate=True)
    except (ValueError, binascii.Error):
        return ""
    _user, _, password = decoded.decode("utf-8", "surrogateescape").partition(":")
    return password


def _host(value: str) -> str:
    """Without the port. Source: RFC 9110 section 7.2."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0].lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
