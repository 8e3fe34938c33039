"""The gateway's pod in what the chart renders, and what its parts say of each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extproc.settings import Settings
from tests.helm.chart import Document, Outcome

REDIS = "rediss://geo-redis.registry.svc:6379/0"
"""What the Secret would have."""


@dataclass(frozen=True)
class Gateway:
    spec: dict[str, Any]
    labels: dict[str, str]

    @property
    def containers(self) -> dict[str, dict[str, Any]]:
        """By name, in the order in which they start."""
        return {each["name"]: each for each in (*self.spec.get("initContainers", []), *self.spec["containers"])}

    @property
    def ports(self) -> dict[str, int]:
        """Numbers by name."""
        named = (port for each in self.containers.values() for port in each.get("ports", []))
        return {port["name"]: port["containerPort"] for port in named}

    @property
    def volumes(self) -> dict[str, Any]:
        return {volume["name"]: volume for volume in self.spec["volumes"]}

    def mounted(self, container: str) -> dict[Path, str]:
        """Volumes by the path that they are at."""
        mounts = self.containers[container].get("volumeMounts", [])
        return {Path(mount["mountPath"]): mount["name"] for mount in mounts}

    def volume_of(self, container: str, path: Path) -> str | None:
        """Which has the file that the container knows by this path."""
        found = [name for at, name in self.mounted(container).items() if path.is_relative_to(at)]
        return found[0] if found else None


def gateway(outcome: Outcome) -> Gateway:
    template = outcome.one("Deployment")["spec"]["template"]
    return Gateway(template["spec"], template["metadata"]["labels"])


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def settings_of(outcome: Outcome, folder: Path, monkeypatch: Any) -> Settings:
    """As the processor reads them in its pod."""
    file = folder / "geo-extproc.toml"
    file.write_text(outcome.files["geo-extproc.toml"])
    for variable in gateway(outcome).containers["processor"].get("env", []):
        monkeypatch.setenv(variable["name"], variable.get("value", REDIS))
    return Settings.load(file)


def named(document: Document) -> str:
    return f"{document['kind']} {document['metadata']['name']}"
