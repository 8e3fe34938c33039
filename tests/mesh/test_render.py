"""What is committed is what the settings beside it give, and a real Envoy takes it in the place of a mesh's proxy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.bootstrap import plain
from extproc.mesh.form import Form
from extproc.mesh.render import VERSIONS, documents, render
from extproc.settings import Settings, Site
from tests.bootstrap import certificates
from tests.support.control_plane.rendering import bootstrap
from tests.support.envoy import validate

FOLDER = Path(__file__).parents[2] / "envoy"
EXAMPLES = {
    Form.ISTIO_GATEWAY: "istio/gateway",
    Form.ISTIO_SIDECAR: "istio/sidecar",
    Form.ENVOY_GATEWAY: "gateway/registry",
}

each_form = pytest.mark.parametrize("form", EXAMPLES)


def example(form: Form) -> Settings:
    return Settings.load(FOLDER / f"{EXAMPLES[form]}.toml")


@each_form
def test_the_committed_rendering_is_that_of_the_example(form: Form) -> None:
    settings = example(form)
    text = render(form, plain(settings), settings)
    assert (FOLDER / f"{EXAMPLES[form]}.yaml").read_text() == text
    assert "*id" not in text
    assert list(yaml.safe_load_all(text)) == documents(form, plain(settings), settings)


@each_form
def test_it_says_for_which_versions_it_is_and_where_to_read_how_to_check_it(form: Form) -> None:
    text = (FOLDER / f"{EXAMPLES[form]}.yaml").read_text()
    assert VERSIONS[form] in text
    (page,) = re.findall(r"docs/[a-z-]+\.md", text)
    assert (FOLDER.parent / page).exists()


def test_every_form_but_the_bootstrap_has_an_example() -> None:
    assert set(EXAMPLES) == set(Form) - {Form.BOOTSTRAP}


def without_files(settings: Settings, folder: Path, *, tls: bool) -> tuple[Settings, dict[str, Any] | None]:
    """The example on this machine: authorities that are here, and a certificate for the gateway."""
    certificate, key = certificates.write(folder, settings.mesh.hostname or "localhost")
    sites = {
        name: site.model_copy(update={"ca": certificate})
        for name in ("primary", "secondary")
        if isinstance(site := getattr(settings.sites, name), Site)
    }
    changes: dict[str, Any] = {"sites": settings.sites.model_copy(update=sites)}
    if not tls:
        changes["mesh"] = settings.mesh.model_copy(update={"certificate_secret": ""})
        return settings.model_copy(update=changes), None
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_certificates": [
                {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
            ]
        },
    }
    return settings.model_copy(update=changes), {"name": "envoy.transport_sockets.tls", "typed_config": context}


@each_form
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_envoy_takes_it_without_a_warning(form: Form, tls: bool, tmp_path: Path) -> None:
    settings, socket = without_files(example(form), tmp_path, tls=tls)
    made = bootstrap(form, documents(form, plain(settings), settings), settings, transport_socket=socket)
    assert validate(yaml.safe_dump(made), tmp_path) == ""
