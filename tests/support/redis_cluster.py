"""A real Redis Cluster for tests: three masters, each with a replica, on loopback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from redis.crc import key_slot

from tests.support.ports import free_ports
from tests.support.redis_group import RedisGroup
from tests.support.redis_server import RedisServer, wait

MASTERS = 3
NODES = 2 * MASTERS
_SLOTS = 16384
_FAILED = {"fail", "fail?"}
"""Flags of a node that is away, as one sees it, and as all do."""
_AWAY_AFTER, _LONG_AWAY = "1000", "3600000"
"""Milliseconds of silence: short, and yet longer than a busy machine keeps a server waiting."""
_OPTIONS = [
    *("--cluster-enabled", "yes", "--cluster-node-timeout", _AWAY_AFTER),
    # A replica takes over however long it has heard nothing; replication starts at once.
    *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
]


class RedisCluster(RedisGroup):
    """`with RedisCluster(folder) as cluster: …`; take a node away by `kill`, `start` it again, then `wait_whole`."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        """`options` are words of each server's command line; `tls`: all speak nothing else, also to each other."""
        super().__init__()
        folder.mkdir(exist_ok=True)
        first = free_ports(2 * NODES)
        self.nodes = [
            RedisServer(
                folder / f"node-{number}",
                *(*_OPTIONS, "--cluster-port", str(first + NODES + number), *options),
                *(("--tls-cluster", "yes", "--tls-replication", "yes") if tls else ()),
                port=first + number,
                tls=tls,
            )
            for number in range(NODES)
        ]
        self._scheme = "rediss" if tls else "redis"

    @property
    def url(self) -> str:
        """Names two of its nodes."""
        return f"{self._scheme}+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    @property
    def holders(self) -> Sequence[RedisServer]:
        return self.nodes

    def hold(self) -> None:
        # Nor does a busy machine make one seem to be away.
        self._configure("cluster-replica-no-failover", "yes")
        self._configure("cluster-node-timeout", _LONG_AWAY)

    def release(self) -> None:
        self._configure("cluster-node-timeout", _AWAY_AFTER)
        self._configure("cluster-replica-no-failover", "no")

    def _configure(self, option: str, value: str) -> None:
        for node in self.nodes:
            node.ok("CONFIG", "SET", option, value)

    def _form(self) -> None:
        self._start(self.nodes)
        first, *others = self.nodes
        for number, node in enumerate(self.nodes):
            node.ok("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for number, node in enumerate(self.nodes[:MASTERS]):
            slots = (_SLOTS * number // MASTERS, _SLOTS * (number + 1) // MASTERS - 1)
            node.ok("CLUSTER", "ADDSLOTSRANGE", *map(str, slots))
        for node in others:
            node.ok("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(first.port + NODES))
        wait("the nodes know each other", lambda: all(len(_view(node)) == NODES for node in self.nodes))
        for master, replica in zip(self.nodes[:MASTERS], self.nodes[MASTERS:], strict=True):
            replica.ok("CLUSTER", "REPLICATE", identity(master))

    def wait_whole(self) -> None:
        """Until all nodes agree on three masters with all slots, each with a replica that follows it."""
        wait("the cluster is whole", self._whole)

    def _whole(self) -> bool:
        views = [_view(node) for node in self.nodes]
        return (
            len({frozenset(_owners(view).items()) for view in views}) == 1
            and len(_owners(views[0])) == MASTERS
            and not any(_FAILED & set(words[2].split(",")) for view in views for words in view)
            and all(words[7] == "connected" for view in views for words in view)
            and len({words[3] for words in views[0] if "slave" in words[2]}) == MASTERS
            and all(b"cluster_state:ok" in node.command("CLUSTER", "INFO") for node in self.nodes)
            and self.followed(NODES - MASTERS)
        )

    def master_of(self, key: str) -> RedisServer:
        """Who has the key's slot."""
        slot = key_slot(key.encode())
        for port, ranges in _owners(_view(self.nodes[0])).items():
            for first, _, last in (each.partition("-") for each in ranges):
                if int(first) <= slot <= int(last or first):
                    return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")


def identity(node: RedisServer) -> str:
    """By which other nodes know it."""
    return node.command("CLUSTER", "MYID").split(b"\r\n")[1].decode()


def _view(node: RedisServer) -> list[list[str]]:
    """CLUSTER NODES: id, address, flags, master's id, ping, pong, epoch, link, slots…"""
    return [line.split() for line in node.command("CLUSTER", "NODES").decode().split("\n")[1:] if " " in line]


def _owners(view: list[list[str]]) -> dict[int, tuple[str, ...]]:
    """Masters by port, with their ranges of slots; a slot on the move is left out."""
    return {
        int(words[1].partition("@")[0].rpartition(":")[2]): tuple(each for each in words[8:] if each[0] != "[")
        for words in view
        if "master" in words[2] and words[8:]
    }
