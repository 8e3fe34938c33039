"""How commands reach Redis: what `RedisStore` asks for, whatever runs there; and what its refusals mean.

Rules
1. An answer is a master's. A replica's, or one from while the masters were changing, is a refusal.
2. There is no second try: whoever asks has a budget. (A redirection is the first try: nothing ran.)
3. What is found out about the servers on the way (connections, where the masters are) is found out to the end,
   also when the request that needed it has given up.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from typing import Any, Final, Protocol

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    NoScriptError,
    ResponseError,
)

from extproc.evidence.store import StoreRefused, StoreUnavailable, StoreUnusable

Command = tuple[bytes | str | int, ...]

_DETAIL_LIMIT: Final = 200
_OF_THE_USER: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)
_IN_A_SCRIPT: Final = "The user executing the script"
"""How Redis begins when the user may run a script, but not what is in it."""
_NOT_AS_SET: Final = re.compile(
    "No such master with that name|cluster support disabled|DB index is out of range|unknown command"
)
"""What is answered where `store.url` is that of something else; the last by a Redis taken for a Sentinel, or so."""
_PASSES: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""A connection with TLS that ended, as any may."""


class NoScript(Exception):
    """The server does not know the script's SHA-1 (yet, or after SCRIPT FLUSH or a restart); nothing ran."""


class Reach(Protocol):
    """One Redis, or many that are used as one. `name` says which, without secrets."""

    @property
    def name(self) -> str: ...

    async def round_trip(self, *commands: Command) -> list[Any]:
        """The commands' answers, at once and not as a transaction. A command without a key goes to every master.

        Raises NoScript, StoreUnavailable.
        """

    def raise_if_unsettled(self) -> None:
        """Raises StoreUnavailable while other workers may not have told the present masters of every write."""

    async def masters(self) -> Sequence[Reach]:
        """Each master, for what must be asked of all of them (SCAN). Raises StoreUnavailable."""

    async def close(self) -> None:
        """Release connections. Raises StoreUnavailable."""


def unavailable(name: str, error: Exception) -> StoreUnavailable:
    """What an error of the client or of a server says about the store."""
    text = str(error)
    # While a connection is made, the client wraps what the server said.
    refused = isinstance(error, _OF_THE_USER) or isinstance(error.__cause__, _OF_THE_USER) or _IN_A_SCRIPT in text
    kind = "" if type(error) is ResponseError else f"{type(error).__name__}: "
    message = f"{name}: {kind}{text[:_DETAIL_LIMIT]}"
    if refused:
        return StoreRefused(message)
    return (StoreUnusable if _is_unusable(error) else StoreUnavailable)(message)


def _is_unusable(error: BaseException | None) -> bool:
    if isinstance(error, ResponseError):
        return _NOT_AS_SET.search(str(error)) is not None
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, _PASSES)
        error = error.__cause__ or error.__context__
    return False


def checked(name: str, answers: list[Any]) -> list[Any]:
    """The answers, when none is an error. Raises NoScript, StoreUnavailable."""
    for answer in answers:
        if isinstance(answer, NoScriptError):
            raise NoScript
        if isinstance(answer, Exception):
            raise unavailable(name, answer) from answer
    return answers
