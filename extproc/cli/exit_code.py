"""Which exceptions are faults of input or surroundings, and the exit code of each. Loaded only when one happened."""

from __future__ import annotations

from extproc.auth.keys import KeysInvalid
from extproc.cli.output import OutputError
from extproc.cli.usage import UsageError
from extproc.mesh.error import FormError
from extproc.oci.reference import ReferenceInvalid
from extproc.settings import SettingsError

_USAGE = (FormError, SettingsError, KeysInvalid, ReferenceInvalid, UsageError)
"""Unusable input: 2."""


def exit_code(error: Exception) -> int | None:
    """2 for unusable input, 1 for a failure while running, None for a fault of ours, which needs its traceback."""
    if isinstance(error, _USAGE):
        return 2
    return 1 if isinstance(error, (OutputError, *_failures())) else None


def _failures() -> tuple[type[Exception], ...]:
    """Apart, for importing them takes a while, and most faults are of input."""
    from extproc.admin.server import AdminError
    from extproc.evidence.store import StoreUnavailable
    from extproc.reconcile.claim import ClaimLost, ClaimTaken
    from extproc.registry.error import RegistryError
    from extproc.sandbox.error import SandboxError
    from extproc.supervisor import WorkersFailed
    from extproc.transport.listening import ListenError

    away = (AdminError, ListenError, RegistryError, SandboxError, StoreUnavailable)
    return *away, ClaimLost, ClaimTaken, WorkersFailed
