"""Ports are distinct, stay ours while no program listens, and can be listened on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from extproc.sandbox.ports import HOST, Ports


def test_two_sandboxes_side_by_side_share_no_port() -> None:
    with Ports() as one, Ports() as other:
        taken = [ports.take() for _ in range(200) for ports in (one, other)]
    assert len(set(taken)) == 400


async def test_a_program_can_listen_stop_and_listen_again() -> None:
    with Ports() as ports:
        port = ports.take()
        for _ in range(3):
            server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, port)
            reader, writer = await asyncio.open_connection(HOST, port)
            assert await reader.read() == b""
            writer.close()
            server.close()
            await server.wait_closed()
            await asyncio.sleep(0)


def test_while_nothing_listens_a_connection_is_refused() -> None:
    with Ports() as ports, pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, ports.take()), timeout=1).close()


def test_a_port_can_be_listened_on_by_a_program_that_shares_ports_between_threads() -> None:
    """As Envoy does: SO_REUSEPORT, once per thread."""
    with Ports() as ports:
        port = ports.take()
        listeners = [socket.socket() for _ in range(2)]
        for listener in listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind((HOST, port))
        for listener in listeners:
            listener.listen()
            listener.close()


def test_closed_ports_are_given_back() -> None:
    with Ports() as ports:
        port = ports.take()
    with socket.socket() as alone:
        alone.bind((HOST, port))
