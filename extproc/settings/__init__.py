"""Every setting, its default and its meaning: one file for each table.

One TOML file, each value overridable by `GEO_EXTPROC_<SECTION>__<KEY>`. Durations are seconds, sizes bytes. A
relative path, wherever it was given, is relative to the file's directory. No message shows a password.
"""

from __future__ import annotations

from extproc.settings.auth import Auth
from extproc.settings.envoy import Envoy
from extproc.settings.mesh import Mesh
from extproc.settings.notifications import Notifications
from extproc.settings.policy import Policy
from extproc.settings.reconcile import Reconcile
from extproc.settings.rollout import Rollout
from extproc.settings.section import Endpoint, Section
from extproc.settings.server import Admin, Server
from extproc.settings.service_account import ServiceAccount
from extproc.settings.settings import Settings, SettingsError
from extproc.settings.sites import Site, Sites
from extproc.settings.store import Store
from extproc.settings.telemetry import Telemetry

__all__ = [
    "Admin",
    "Auth",
    "Endpoint",
    "Envoy",
    "Mesh",
    "Notifications",
    "Policy",
    "Reconcile",
    "Rollout",
    "Section",
    "Server",
    "ServiceAccount",
    "Settings",
    "SettingsError",
    "Site",
    "Sites",
    "Store",
    "Telemetry",
]
