"""A real master with two replicas for tests, watched by three Sentinels, on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.redis_group import RedisGroup
from tests.support.redis_server import RedisServer, wait

MASTER = "geo"
_SERVERS = 3
_OPTIONS = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
_AWAY_AFTER, _LONG_AWAY = "1000", "3600000"
"""Milliseconds of silence: short, and yet longer than a busy machine keeps a server waiting."""


class RedisSentinel(RedisGroup):
    """`with RedisSentinel(folder) as watched: …`; take a server away by `kill`, then `wait_replaced`."""

    def __init__(self, folder: Path, *options: str, password: str = "", sentinel_password: str = "") -> None:
        """`options` are words of each server's command line; the passwords those of the default users."""
        super().__init__()
        folder.mkdir(exist_ok=True)
        secured = ("--requirepass", password, "--masterauth", password) if password else ()
        lines = [f"sentinel auth-pass {MASTER} {password}"] if password else []
        if sentinel_password:
            lines += [f"requirepass {sentinel_password}", f"sentinel sentinel-pass {sentinel_password}"]
        first = free_ports(2 * _SERVERS)
        self.servers = [
            RedisServer(folder / f"server-{number}", *_OPTIONS, *secured, *options, port=first + number)
            for number in range(_SERVERS)
        ]
        self.sentinels = [
            _sentinel(folder / f"sentinel-{number}", first, first + _SERVERS + number, lines)
            for number in range(_SERVERS)
        ]
        for server in self.servers:
            server.password = password
        for sentinel in self.sentinels:
            sentinel.password = sentinel_password

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{MASTER}"

    @property
    def holders(self) -> Sequence[RedisServer]:
        return self.servers

    def hold(self) -> None:
        self._down_after(_LONG_AWAY)

    def release(self) -> None:
        self._down_after(_AWAY_AFTER)

    def _down_after(self, milliseconds: str) -> None:
        for sentinel in self.sentinels:
            sentinel.ok("SENTINEL", "SET", MASTER, "down-after-milliseconds", milliseconds)

    def _form(self) -> None:
        self._start(self.servers)
        for replica in self.servers[1:]:
            replica.ok("REPLICAOF", "127.0.0.1", str(self.servers[0].port))
        wait("the replicas follow", lambda: self.followed(_SERVERS - 1))
        self._start(self.sentinels)

    def master_of(self, key: str) -> RedisServer:
        """Whatever the key."""
        return self.master()

    def master(self) -> RedisServer:
        """The one that the first Sentinel names."""
        return next(server for server in self.servers if server.port == _told_port(self.sentinels[0]))

    def wait_replaced(self, old: RedisServer) -> RedisServer:
        """Until all Sentinels name another; that one."""

        def replaced() -> bool:
            named = {_told_port(sentinel) for sentinel in self.sentinels}
            return len(named) == 1 and old.port not in named

        wait("another is the master", replaced)
        return self.master()

    def wait_whole(self) -> None:
        """Until all Sentinels know the same master as up, its replicas and each other, and the replicas follow it."""
        wait("the Sentinels agree", self._whole)

    def _whole(self) -> bool:
        told = [sentinel_master(sentinel) for sentinel in self.sentinels]
        return (
            len({each["port"] for each in told}) == 1
            and all(each["flags"] == "master" for each in told)
            and all(each["num-slaves"] == str(_SERVERS - 1) for each in told)
            and all(each["num-other-sentinels"] == str(len(self.sentinels) - 1) for each in told)
            and self.followed(_SERVERS - 1)
        )


def sentinel_master(sentinel: RedisServer) -> dict[str, str]:
    """What SENTINEL MASTER says."""
    words = sentinel.command("SENTINEL", "MASTER", MASTER).decode().split("\r\n")[2::2]
    return dict(zip(words[::2], words[1::2], strict=False))


def _told_port(sentinel: RedisServer) -> int:
    return int(sentinel_master(sentinel)["port"])


def _sentinel(folder: Path, master: int, port: int, lines: list[str]) -> RedisServer:
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        "\n".join(
            [
                f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
                f"sentinel down-after-milliseconds {MASTER} {_AWAY_AFTER}",
                f"sentinel failover-timeout {MASTER} 1000",
                *lines,
            ]
        )
        + "\n"
    )
    return RedisServer(folder, "--sentinel", port=port, config=config)
