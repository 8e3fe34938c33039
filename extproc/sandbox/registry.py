"""One site's registry: a docker-registry process with token auth and notifications."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from extproc.sandbox.certificates import Pair
from extproc.sandbox.issuer import ISSUER, SERVICE
from extproc.sandbox.ports import HOST
from extproc.sandbox.probe import answers
from extproc.sandbox.process import Process
from extproc.sandbox.program import find
from extproc.sandbox.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Notifications:
    """Where the registry tells what happened, and the value of the Authorization header it sends along."""

    url: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Registry:
    """What one registry is made of; `root` holds its data."""

    name: str
    port: int
    root: Path
    realm: str
    trusted: Path
    """The issuer's certificate."""
    secret: str
    """Signs upload states (`http.secret`)."""
    notifications: Notifications | None = None
    tls: Pair | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    def configuration(self) -> dict[str, Any]:
        """The registry's configuration file (distribution, "Configuring a registry")."""
        http: dict[str, Any] = {
            "addr": f"{HOST}:{self.port}",
            "secret": self.secret,
            "relativeurls": False,
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        }
        if self.tls:
            http["tls"] = {"certificate": str(self.tls.certificate), "key": str(self.tls.private_key)}
        configuration: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                # No blob descriptor cache: data removed from the folder is to be missing at once.
                "filesystem": {"rootdirectory": str(self.root)},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
            "auth": {
                "token": {
                    "realm": self.realm,
                    "service": SERVICE,
                    "issuer": ISSUER,
                    "rootcertbundle": str(self.trusted),
                }
            },
            "health": {"storagedriver": {"enabled": False}},
            "validation": {"disabled": True},
        }
        if self.notifications:
            configuration["notifications"] = {
                "events": {"includereferences": True},
                "endpoints": [
                    {
                        "name": "geo",
                        "url": self.notifications.url,
                        "headers": {"Authorization": [self.notifications.authorization]},
                        "timeout": "1s",
                        "threshold": 5,
                        "backoff": "500ms",
                        # Pulls are of no use here, and the most frequent by far. Without a media type, 2.8.2
                        # ignores no action either (distribution issue 2916).
                        "ignore": {"actions": ["pull"], "mediatypes": ["application/x-none"]},
                    }
                ],
            }
        return configuration

    def process(self, workspace: Workspace, ca: Path | None = None) -> Process:
        """The server, not yet started; ready when it asks for a token. Raises SandboxError."""
        self.root.mkdir(exist_ok=True)
        file = workspace.directory / f"{self.name}.yml"
        file.write_text(yaml.safe_dump(self.configuration(), sort_keys=False))
        return Process(
            self.name,
            [find("docker-registry"), "serve", str(file)],
            log=workspace.log(self.name),
            environment=workspace.environment,
            probe=answers(f"{self.url}/v2/", 401, ca),
        )
