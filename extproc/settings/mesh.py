"""Where in a cluster the proxy of a mesh or a gateway is that `geo-extproc envoy-config` writes documents for."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from extproc.settings.section import Port, Section

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""Of an object or a namespace (RFC 1123, a label)."""
_HOST_NAME: Final = re.compile(
    r"(?!.{254})[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def _host_name(text: str) -> str:
    if text and not _HOST_NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not the name of a host: give lower-case letters, digits, hyphens and dots, without scheme, "
            "port or wildcard, as in 'registry.example.com'"
        )
    return text


HostName = Annotated[str, AfterValidator(_host_name)]
Label = Annotated[str, StringConstraints(pattern=r"^[^=]+=[^=]*$")]


class Mesh(Section):
    """What the forms of `geo-extproc envoy-config` for Istio and for Envoy Gateway need to know of the cluster. The
    form `bootstrap` reads nothing of it."""

    namespace: Name = "registry"
    """Where the documents and the proxy's pods are."""
    name: Name = "registry"
    """Of the gateway, and of all that is made for it; in front of a sidecar, of the registry's Deployment."""
    hostname: HostName = ""
    """The unified name, by which the gateway's requests are known. Both gateways need it."""
    gateway_class: Name = "eg"
    """The GatewayClass of Envoy Gateway."""
    port: Port = 443
    """Where the gateway listens; with a sidecar, the registry's own port."""
    certificate_secret: str = ""
    """The Secret with the gateway's certificate and key (type `kubernetes.io/tls`); plain HTTP when empty."""
    pod_labels: tuple[Label, ...] = ()
    """Labels, each as `key=value`, of the pods that get the configuration; `app=` and the name when empty."""
    image: str = "geo-extproc"
    """The processor's container image."""
    config_secret: Name = "geo-extproc"  # noqa: S105 - the name of one
    """The Secret that becomes `/etc/geo-extproc` in the processor's container: `geo-extproc.toml`, and the files that
    it names."""

    @property
    def labels(self) -> dict[str, str]:
        if not self.pod_labels:
            return {"app": self.name}
        return dict(label.split("=", 1) for label in self.pod_labels)
