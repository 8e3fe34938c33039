"""Servers of Redis that are one store together: started together, ended together, replicas that follow masters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.support.redis_server import RedisServer, wait


class RedisGroup(ABC):
    """`with` starts, forms and ends it. Its clients are told `url`, as in the settings."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._away: list[RedisServer] = []

    @property
    @abstractmethod
    def url(self) -> str:
        """As in the settings."""

    @property
    @abstractmethod
    def holders(self) -> Sequence[RedisServer]:
        """The servers that hold data, masters and replicas."""

    @abstractmethod
    def master_of(self, key: str) -> RedisServer:
        """Who takes what is written to the key, while the group is whole."""

    @abstractmethod
    def wait_whole(self) -> None:
        """Until all know the same masters, and replicas follow them. AssertionError when that takes too long."""

    @abstractmethod
    def hold(self) -> None:
        """From now on a master that is away is waited for: no replica takes its place."""

    @abstractmethod
    def release(self) -> None:
        """The end of `hold`, once it is whole."""

    @abstractmethod
    def _form(self) -> None:
        """Start the servers and make one store of them."""

    def __enter__(self) -> Self:
        with self._stack:
            self._form()
            self.wait_whole()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, servers: Sequence[RedisServer]) -> None:
        """All at once; they are killed in the end."""
        for server in servers:
            self._stack.callback(server.kill)
            server.spawn()
        for server in servers:
            server.wait_ready()

    def kill(self) -> None:
        """SIGKILL to every master; `start` brings them back, with their data if PERSISTENT.

        None is replaced meanwhile, nor later, until `release`."""
        self.hold()
        self._away = [server for server in self.holders if _role(server)[1] == "master"]
        for server in self._away:
            server.kill()

    def start(self) -> None:
        """Those that `kill` ended."""
        for server in self._away:
            server.spawn()
        for server in self._away:
            server.wait_ready()
        # What was configured is gone with a server that ended.
        self.hold()
        self.wait_whole()

    def wait_replicated(self) -> None:
        """Until replicas have what their masters have now, while the group is whole.

        WAIT would not tell: it counts replicas that have what its own connection wrote.
        """
        roles = [_role(server) for server in self.holders]
        masters = {
            server.port: int(role[2][1:])
            for server, role in zip(self.holders, roles, strict=True)
            if role[1] == "master"
        }

        def done() -> bool:
            now = [_role(server) for server in self.holders]
            return all(int(role[5][1:]) >= masters[int(role[3][1:])] for role in now if role[1] == "slave")

        wait("the replicas have all of it", done)

    def followed(self, replicas: int) -> bool:
        """Whether so many follow a master."""
        return sum(role[1] == "slave" and role[4] == "connected" for role in map(_role, self.holders)) == replicas


def _role(server: RedisServer) -> list[str]:
    """ROLE in words, the lengths left out: `*3 master :offset …` or `*5 slave host :port connected :offset`."""
    return [word for word in server.command("ROLE").decode().split("\r\n") if not word.startswith("$")]
