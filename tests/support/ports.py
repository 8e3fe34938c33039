"""TCP ports of the loopback interface."""

from __future__ import annotations

import socket


def free_port() -> int:
    """One that nobody has now."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody has now."""
    while True:
        held = [_bound(0)]
        first: int = held[0].getsockname()[1]
        try:
            if first + count <= 65536:
                held += [_bound(first + offset) for offset in range(1, count)]
                return first
        except OSError:
            continue
        finally:
            for each in held:
                each.close()


def _bound(port: int) -> socket.socket:
    taken = socket.socket()
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        taken.close()
        raise
    return taken
