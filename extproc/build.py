"""From the settings to the things that need nothing else: a store, a verifier, a secret, a policy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from extproc.auth.keys import KeySet
from extproc.auth.token import TokenVerifier
from extproc.evidence.backlog import LAST_PAUSE
from extproc.evidence.breaker import Breaker
from extproc.evidence.guarded import GuardedStore, LeaseLog
from extproc.evidence.memory import MemoryStore
from extproc.evidence.redis import connect
from extproc.evidence.store import Store, StoreUnavailable
from extproc.notification.secret import Secret
from extproc.oci.name_pattern import NamePattern
from extproc.routing.policy import Policy
from extproc.routing.rollout import Mode, Rollout
from extproc.settings import Settings, SettingsError
from extproc.settings import Store as StoreSettings

_BACKGROUND_BUDGET: Final = 10.0
"""Seconds for a store call of reconcile: the record of a large name takes a while."""


def build_store(settings: Settings) -> Store:
    """The store that the settings name, unguarded, not yet asked. Raises SettingsError for unusable files."""
    if settings.store.url == "memory://":
        return MemoryStore(absent_ttl=settings.policy.absent_ttl, name_ttl=settings.store.name_ttl)
    try:
        return connect(settings.store, absent_ttl=settings.policy.absent_ttl, settling=quarantine(settings.store))
    except StoreUnavailable as error:
        raise SettingsError(f"the store cannot be used: {error}; correct the store table") from error


def unhurried(store: Store, leases: LeaseLog | None = None) -> GuardedStore:
    """For work in the background: a call ends some time, but a second is no fault, and none is skipped."""
    return GuardedStore(
        store, budget=_BACKGROUND_BUDGET, breaker=Breaker(failures=sys.maxsize, pause=0), leases=leases
    )


def quarantine(store: StoreSettings) -> float:
    """Seconds within which every worker's backlog has told a store that is back what it missed."""
    return LAST_PAUSE + 2 * store.budget


def build_verifier(
    settings: Settings, keys: KeySet | None = None, *, on_unknown_kid: Callable[[], None] = lambda: None
) -> TokenVerifier | None:
    """None for passthrough. By `keys`, or those of the files. Raises auth.keys.KeysInvalid."""
    auth = settings.auth
    if auth.mode == "passthrough":
        return None
    if keys is None:
        keys = KeySet.load(auth.keys) if auth.keys else KeySet.none()
    return TokenVerifier(
        keys,
        issuer=auth.issuer,
        audience=auth.service,
        leeway=auth.leeway,
        cache_size=auth.cache_size,
        on_unknown_kid=on_unknown_kid,
    )


def build_secret(settings: Settings) -> Secret | None:
    """What the registries send along; None where there is none. Raises SettingsError."""
    file = settings.notifications.secret_file
    return None if file is None else Secret.load(file, "notifications.secret_file", "take no notifications")


def build_readers_secret(settings: Settings) -> Secret | None:
    """What those send who read the admin server's pages; None where nothing is asked for. Raises SettingsError."""
    file = settings.admin.secret_file
    return None if file is None else Secret.load(file, "admin.secret_file", "let everybody read who reaches it")


def build_policy(settings: Settings) -> Policy:
    policy = settings.policy
    return Policy(
        max_staleness=policy.max_staleness,
        unknown_digests_local=policy.unknown_digests == "secondary",
        present_recheck=policy.present_recheck,
        write_timeout=policy.write_timeout,
        serve_stale=policy.serve_stale == "if-primary-down",
        rollout=build_rollout(settings),
        promoted=settings.sites.promoted,
    )


def build_rollout(settings: Settings) -> Rollout:
    rollout = settings.rollout
    return Rollout(
        mode=Mode(rollout.mode),
        include=tuple(map(NamePattern, rollout.include)),
        exclude=tuple(map(NamePattern, rollout.exclude)),
        percentage=rollout.percentage,
    )
