"""Certificates that clients accept, and the names of keys that registries look for."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.x509 import load_pem_x509_certificate

from extproc.sandbox.certificates import Authority, Pair, libtrust_kid, thumbprint_kid
from extproc.sandbox.ports import HOST

RFC_7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
    "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
    "kEgU8awapJzKnqDKgw"
)


@pytest.fixture(scope="module")
def key() -> RSAPublicKey:
    modulus = int.from_bytes(base64.urlsafe_b64decode(RFC_7638_MODULUS + "=="), "big")
    return RSAPublicNumbers(e=65537, n=modulus).public_key()


def test_the_thumbprint_is_that_of_the_rfc(key: RSAPublicKey) -> None:
    assert thumbprint_kid(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_libtrust_name_is_twelve_groups_of_four(key: RSAPublicKey) -> None:
    groups = libtrust_kid(key).split(":")
    assert [len(group) for group in groups] == [4] * 12


@pytest.mark.parametrize("name", ["localhost", HOST])
async def test_a_client_that_trusts_the_authority_accepts_the_server(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.private_key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(authority.file))
    async with server:
        _, writer = await asyncio.open_connection(HOST, port, ssl=trusting, server_hostname=name)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(HOST, port, ssl=ssl.create_default_context(), server_hostname=name)


def test_private_keys_are_for_the_owner_alone(signing: Pair) -> None:
    assert signing.private_key.stat().st_mode & 0o777 == 0o600
    load_pem_x509_certificate(signing.certificate.read_bytes())
