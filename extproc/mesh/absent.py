"""What the proxy of a mesh is not built with, and so is left out of its form.

A configuration that names an unknown extension is refused as a whole. What the forms do name is compared with the
committed lists of what each proxy has (`envoy/istio/extensions.txt`, `envoy/gateway/extensions.txt`) by a test.
"""

from __future__ import annotations

from typing import Final

from extproc.mesh.parts import Document

ISTIO: Final = frozenset({"envoy.access_loggers.stats"})
"""So Istio's own statistics count requests, and the two of docs/envoy.md are missing."""


def without(manager: Document, absent: frozenset[str]) -> Document:
    """The connection manager without access loggers that the proxy does not know."""
    logs = [log for log in manager.get("access_log", []) if log["name"] not in absent]
    others = {key: value for key, value in manager.items() if key != "access_log"}
    return others | ({"access_log": logs} if logs else {})
