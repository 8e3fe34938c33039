"""For whom Envoy's configuration is written."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    BOOTSTRAP = "bootstrap"
    """A file for an Envoy that is started with it."""
    ISTIO_GATEWAY = "istio-gateway"
    """An Istio gateway of its own, which others reach by the unified name."""
    ISTIO_SIDECAR = "istio-sidecar"
    """The sidecar of the registry's own pods."""
    ENVOY_GATEWAY = "envoy-gateway"
    """A gateway of Envoy Gateway's, for the unified name alone."""
