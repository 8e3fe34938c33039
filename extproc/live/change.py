"""Old and new settings: what is adopted while we serve, and what waits for a restart.

Live is what nothing else was built from: which names are served and how, keys, and how much is logged. All else is in
Envoy's configuration too, or in connections and ports that are open. The role is in Envoy's as well, which role.py
keeps up to date.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from extproc.settings import Settings

LIVE: Final = frozenset(
    {
        "rollout",
        "auth.keys",
        "policy.unknown_digests",
        "policy.present_recheck",
        "policy.serve_stale",
        "sites.role",
        "telemetry.log_level",
    }
)
"""Settings, or whole tables, that take effect while we serve."""
_WHOSE_KEYS: Final = ("mode", "issuer", "service")
"""Of the `auth` table: keys of another issuer count only with its name, which waits."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of a new file against what is in force."""

    settings: Settings
    """What is in force from now on: the old ones with the live settings of the new."""
    adopted: tuple[str, ...]
    """Settings that are others than before, by their names: `rollout.mode`."""
    waiting: tuple[str, ...]
    """Settings in the file that need a restart."""


def change_of(old: Settings, new: Settings) -> Change:
    """What `new` changes while we serve by `old`."""
    tables = _with(old, new)
    different = tuple(_different(old, new))
    adopted = tuple(name for name in different if _live(name) and name.partition(".")[0] in tables)
    return Change(old.model_copy(update=tables), adopted, tuple(name for name in different if name not in adopted))


def _live(name: str) -> bool:
    return name in LIVE or name.partition(".")[0] in LIVE


def _different(old: BaseModel, new: BaseModel, above: str = "") -> Iterator[str]:
    for field in type(old).model_fields:
        before, after, name = getattr(old, field), getattr(new, field), f"{above}{field}"
        if isinstance(before, BaseModel) and type(before) is type(after) and not above:
            yield from _different(before, after, f"{name}.")
        elif before != after:
            yield name


def _with(old: Settings, new: Settings) -> dict[str, object]:
    """Tables of `old` with what is live of `new`, but those where the two do not go together, and all of it waits.

    Without the old key files and without the new URL, say, there would be no keys.
    """
    tables: dict[str, object] = {}
    for table in type(old).model_fields:
        before, after = getattr(old, table), getattr(new, table)
        if table in LIVE:
            tables[table] = after
        elif table == "auth" and any(getattr(before, key) != getattr(after, key) for key in _WHOSE_KEYS):
            continue
        elif isinstance(before, BaseModel) and isinstance(after, BaseModel):
            live = {key: getattr(after, key) for key in type(after).model_fields if f"{table}.{key}" in LIVE}
            with suppress(ValidationError):
                type(before).model_validate(vars(before) | live)
                tables[table] = before.model_copy(update=live)
    return tables
