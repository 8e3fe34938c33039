"""TLS on both sides: what is negotiated, and what is not accepted."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.bootstrap import certificates
from tests.bootstrap.stand_in import answers
from tests.bootstrap.system import system

BLOB = "/v2/a/b/blobs/sha256:1"


@pytest.mark.parametrize(("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1")])
async def test_the_listener_speaks_both_versions(tmp_path: Path, offered: list[str], chosen: str) -> None:
    certificate, key = certificates.write(tmp_path, "registry.example.com")
    async with system(tmp_path, certificate=certificate, private_key=key) as edge:
        assert (await edge.ask("POST", "/v2/a/b/blobs/uploads/")).status == 200
        assert edge.primary.seen[0].headers["x-forwarded-proto"] == "https"
        context = ssl.create_default_context(cafile=str(certificate))
        context.set_alpn_protocols(offered)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", edge.envoy.port, ssl=context, server_hostname="registry.example.com"
        )
        socket = writer.get_extra_info("ssl_object")
        assert socket.selected_alpn_protocol() == chosen
        writer.close()
        await writer.wait_closed()


async def test_the_listener_refuses_tls_1_1(tmp_path: Path) -> None:
    certificate, key = certificates.write(tmp_path, "registry.example.com")
    async with system(tmp_path, certificate=certificate, private_key=key) as edge:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", edge.envoy.port, ssl=context)


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_each_site_with_its_own_certificate(tmp_path: Path, fallback: str) -> None:
    """The priorities share a cluster, and still neither name nor authority."""
    async with system(
        tmp_path, steer="secondary", fallback=fallback, site_names=("primary.example", "127.0.0.1")
    ) as edge:
        assert (await edge.ask("GET", BLOB)).site == "secondary"
        edge.secondary.answer = answers(404)
        answered = await edge.ask("GET", BLOB)
        assert (answered.status, answered.site) == (200, "primary")


@pytest.mark.parametrize("fallback", ["composite", "priorities"])
async def test_a_site_with_another_name_is_not_talked_to(tmp_path: Path, fallback: str) -> None:
    async with system(
        tmp_path, steer="secondary", fallback=fallback, site_names=("primary.example", "another.example")
    ) as edge:
        for _ in range(3):
            assert (await edge.ask("GET", BLOB)).site == "primary"
        assert edge.secondary.seen == []
