"""The processor beside a proxy, in one pod: its container, and what the two share."""

from __future__ import annotations

from typing import Final

from extproc.mesh.parts import Document
from extproc.settings import Settings

CONTAINER: Final = "geo-extproc"
SOCKETS: Final = "geo-extproc-sockets"
"""The volume with the workers' sockets, in both containers at `server.socket_dir`."""
CONFIG: Final = "geo-extproc-config"
CONFIG_PATH: Final = "/etc/geo-extproc"
USER: Final = 10001
"""Any but the proxy's: the two share a group, and no files but the sockets."""


def container(settings: Settings) -> Document:
    """No probe of it: while it is not ready, or gone, its proxy still serves everything from the primary."""
    return {
        "name": CONTAINER,
        "image": settings.mesh.image,
        "args": ["serve", "--config", f"{CONFIG_PATH}/geo-extproc.toml"],
        "securityContext": {
            "runAsUser": USER,
            "runAsGroup": USER,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(settings),
    }


def proxy_mounts(settings: Settings) -> list[Document]:
    """The proxy gets the processor's files, secrets among them, only where it needs an authority that is one."""
    sites = (settings.sites.primary, settings.sites.secondary, settings.sites.issuer)
    reads = any(site is not None and site.ca is not None for site in sites)
    return _mounts(settings) if reads else _mounts(settings)[:1]


def _mounts(settings: Settings) -> list[Document]:
    return [
        {"name": SOCKETS, "mountPath": str(settings.server.socket_dir)},
        {"name": CONFIG, "mountPath": CONFIG_PATH, "readOnly": True},
    ]


def volumes(settings: Settings) -> list[Document]:
    return [
        {"name": SOCKETS, "emptyDir": {"medium": "Memory"}},
        {"name": CONFIG, "secret": {"secretName": settings.mesh.config_secret, "defaultMode": 0o440}},
    ]
