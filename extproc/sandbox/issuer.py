"""A token issuer that answers as GitLab's `/jwt/auth` does, for two throw-away users and for nobody.

`admin` may do everything, `reader` pull everything, nobody pull names under `public/`. GET with Basic is the
way of docker, skopeo and the CI runners; POST with a form is OAuth2's (distribution, "oauth2 token
authentication"), which GitLab itself refuses with 404 and other issuers take.

Run: `python -m extproc.sandbox.issuer 127.0.0.1:PORT --key FILE [--certificate FILE --private-key FILE]`
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime
import secrets
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from extproc.sandbox.certificates import libtrust_kid, thumbprint_kid
from extproc.sandbox.scope import ANONYMOUS, PASSWORDS, Scope, parse_scopes

PATH = "/jwt/auth"
ISSUER = "gitlab-issuer"
SERVICE = "container_registry"

_REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs what a user asked for."""

    key: rsa.RSAPrivateKey
    kid: str
    issuer: str = ISSUER
    lifetime: int = 300

    @classmethod
    def load(cls, file: Path, kid: str = "libtrust", issuer: str = ISSUER, lifetime: int = 300) -> Signer:
        key = load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{file} holds no RSA key")
        name = {"libtrust": libtrust_kid, "thumbprint": thumbprint_kid}[kid]
        return cls(key, name(key.public_key()), issuer, lifetime)

    def token(self, user: str, service: str, scopes: list[Scope]) -> dict[str, Any]:
        """The answer's body: the token under both its names, its age and its life in seconds."""
        now = int(time.time())
        granted = [scope.limited_to(user) for scope in scopes]
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": service,
            "iat": now,
            "nbf": now - 5,
            "exp": now + self.lifetime,
            "jti": secrets.token_hex(16),
            "access": [
                {"type": scope.type, "name": scope.name, "actions": list(scope.actions)}
                for scope in granted
                if scope.actions
            ],
            "auth_type": "gitlab_or_ldap" if user else "none",
        }
        if user:
            claims["sub"] = user
        token = self._sign(claims)
        issued = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"token": token, "access_token": token, "expires_in": self.lifetime, "issued_at": issued}

    def refresh_token(self, user: str) -> str:
        """Names the user; its audience keeps every registry from taking it for an access token."""
        return self._sign({"iss": self.issuer, "aud": _REFRESH, "sub": user, "iat": int(time.time())})

    def refreshed_user(self, token: str) -> str | None:
        """The user of a refresh token of ours, else None."""
        try:
            claims = jwt.decode(
                token, self.key.public_key(), algorithms=["RS256"], audience=_REFRESH, issuer=self.issuer
            )
        except jwt.InvalidTokenError:
            return None
        user = claims.get("sub")
        return user if user in PASSWORDS else None

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"typ": "JWT", "kid": self.kid})


SIGNER = web.AppKey("signer", Signer)


def application(signer: Signer) -> web.Application:
    """The issuer as an aiohttp application."""
    app = web.Application()
    app[SIGNER] = signer
    app.router.add_get(PATH, _get, allow_head=False)
    app.router.add_post(PATH, _post)
    return app


async def _get(request: web.Request) -> web.Response:
    service = request.query.get("service", "")
    if service != SERVICE:
        return web.Response(status=404)
    user = _basic_user(request.headers.get("Authorization"))
    if user is None:
        return _refuse(401, "UNAUTHORIZED", "HTTP Basic: Access denied")
    scopes = parse_scopes(request.query.getall("scope", []))
    if user == ANONYMOUS and not scopes:
        return _refuse(403, "DENIED", "access forbidden")
    signer = request.app[SIGNER]
    body = signer.token(user, service, scopes)
    if user and request.query.get("offline_token") == "true":
        body["refresh_token"] = signer.refresh_token(user)
    return web.json_response(body)


async def _post(request: web.Request) -> web.Response:
    form = {name: str(value) for name, value in (await request.post()).items()}
    service = form.get("service", "")
    if service != SERVICE:
        return _oauth_error("invalid_request", f"the service {service!r} is not known")
    signer = request.app[SIGNER]
    user: str | None
    match form.get("grant_type"):
        case "password":
            user = _known(form.get("username", ""), form.get("password", ""))
        case "refresh_token":
            user = signer.refreshed_user(form.get("refresh_token", ""))
        case _:
            return _oauth_error("unsupported_grant_type", "grant_type is password or refresh_token")
    if user is None:
        return _refuse(401, "UNAUTHORIZED", "HTTP Basic: Access denied")
    body = signer.token(user, service, parse_scopes([form.get("scope", "")]))
    if form.get("access_type") == "offline" or form["grant_type"] == "refresh_token":
        body["refresh_token"] = signer.refresh_token(user)
    return web.json_response(body)


def _basic_user(header: str | None) -> str | None:
    """Who asks (RFC 7617): nobody without a header, None when the password is wrong."""
    if header is None:
        return ANONYMOUS
    scheme, _, encoded = header.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return _known(user, password) if scheme.lower() == "basic" else None


def _known(user: str, password: str) -> str | None:
    expected = PASSWORDS.get(user)
    same = expected is not None and secrets.compare_digest(expected.encode(), password.encode())
    return user if same else None


def _refuse(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)


def _oauth_error(error: str, description: str) -> web.Response:
    """RFC 6749, section 5.2."""
    return web.json_response({"error": error, "error_description": description}, status=400)


async def _serve(host: str, port: int, app: web.Application, tls: ssl.SSLContext | None) -> None:
    runner = web.AppRunner(app, handle_signals=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True).start()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="extproc.sandbox.issuer", description=__doc__)
    parser.add_argument("listen", help="HOST:PORT")
    parser.add_argument("--key", type=Path, required=True, help="PEM file of the RSA key that signs")
    parser.add_argument("--kid", choices=("libtrust", "thumbprint"), default="libtrust")
    parser.add_argument("--lifetime", type=int, default=300, help="seconds that a token is valid")
    parser.add_argument("--certificate", type=Path, help="serve https with this PEM chain")
    parser.add_argument("--private-key", type=Path)
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate, options.private_key)
    host, _, port = options.listen.rpartition(":")
    signer = Signer.load(options.key, options.kid, lifetime=options.lifetime)
    try:
        asyncio.run(_serve(host, int(port), application(signer), tls))
    except (web.GracefulExit, KeyboardInterrupt):
        return


if __name__ == "__main__":
    main()
