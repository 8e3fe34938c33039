"""From the settings of a sandbox to the Envoy of a mesh at its address: what `Sandbox` takes as `rendering`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from extproc.bootstrap import plain
from extproc.mesh.form import Form
from extproc.mesh.render import render
from extproc.settings import Settings
from tests.support.control_plane import envoy_gateway, istio

MESHES: Final = tuple(form.value for form in Form if form is not Form.BOOTSTRAP)
WAYS: Final = ("composite", "priorities", *MESHES)
"""Each way in which Envoy can be configured: by its bootstrap with either fallback, or by a mesh."""


def way(name: str) -> dict[str, Any]:
    """For `Sandbox`."""
    if name not in MESHES:
        return {"fallback": name}
    return {"fallback": "priorities", "rendering": partial(as_mesh, Form(name))}


def as_mesh(form: Form, file: Path) -> str:
    """The documents as they are written down, read again and applied to what the control plane makes without them."""
    settings = Settings.load(file)
    listen = settings.envoy.listen
    mesh = settings.mesh.model_copy(update={"hostname": listen.host, "port": listen.port})
    settings = settings.model_copy(update={"mesh": mesh})
    documents = list(yaml.safe_load_all(render(form, plain(settings), settings)))
    return yaml.safe_dump(bootstrap(form, documents, settings), sort_keys=False)


def bootstrap(form: Form, documents: list[dict[str, Any]], settings: Settings, **more: Any) -> dict[str, Any]:
    """What the proxy has in the end, as one static bootstrap."""
    admin = (settings.envoy.admin.host, settings.envoy.admin.port)
    if form is Form.ENVOY_GATEWAY:
        made = envoy_gateway.proxy(documents, **more)
        made.apply(next(each for each in documents if each["kind"] == "EnvoyPatchPolicy"))
        return envoy_gateway.bootstrap(made, admin=admin)
    proxy = istio.gateway(settings, **more) if form is Form.ISTIO_GATEWAY else istio.sidecar(settings)
    proxy.apply(next(each for each in documents if each["kind"] == "EnvoyFilter"))
    return istio.bootstrap(proxy, admin=admin)
