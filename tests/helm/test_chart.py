"""The chart with each set of values: it lints, renders what Kubernetes takes, and its parts fit together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.helm.chart import ROOT, Outcome, outcome, outcomes
from tests.helm.pod import Gateway, gateway, named, selects, settings_of
from tests.helm.values import LEAST, SETS, least

SCHEMAS: Final = Path(__file__).parent / "schemas"
VERSIONS: Final = ("1.30", "1.33", "1.37")
CUSTOM: Final = {"HTTPRoute", "PrometheusRule", "ServiceMonitor"}
INCLUDED: Final[dict[str, Callable[[dict[str, Any]], bool]]] = {
    "Deployment": lambda values: True,
    "ConfigMap": lambda values: True,
    "Service": lambda values: True,
    "ServiceAccount": lambda values: values.get("serviceAccount", {}).get("create", True),
    "PodDisruptionBudget": lambda values: values.get("podDisruptionBudget", {}).get("enabled", True),
    "HorizontalPodAutoscaler": lambda values: values.get("autoscaling", {}).get("enabled", False),
    "NetworkPolicy": lambda values: values.get("networkPolicy", {}).get("enabled", False),
    "ServiceMonitor": lambda values: values.get("serviceMonitor", {}).get("enabled", False),
    "PrometheusRule": lambda values: values.get("prometheusRule", {}).get("enabled", False),
    "Ingress": lambda values: values.get("ingress", {}).get("enabled", False),
    "HTTPRoute": lambda values: values.get("httpRoute", {}).get("enabled", False),
    "Pod": lambda values: values.get("envoy", {}).get("enabled", True),
}


@pytest.fixture(params=SETS)
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SETS[request.param]


@pytest.fixture(scope="module")
def all_rendered() -> dict[str, Outcome]:
    return dict(zip(SETS, outcomes(list(SETS.values())), strict=True))


@pytest.fixture
def rendered(values: dict[str, Any], all_rendered: dict[str, Outcome]) -> Outcome:
    (found,) = [all_rendered[name] for name, each in SETS.items() if each is values]
    assert found.refusal == ""
    return found


@pytest.fixture
def pod(rendered: Outcome) -> Gateway:
    return gateway(rendered)


def test_it_lints(rendered: Outcome) -> None:
    assert rendered.findings == []


def test_kinds_are_there_where_they_are_asked_for(values: dict[str, Any], rendered: Outcome) -> None:
    kinds = {document["kind"] for document in rendered.documents}
    assert kinds == {kind for kind, included in INCLUDED.items() if included(values)}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(rendered: Outcome, version: str) -> None:
    for document in rendered.documents:
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


def test_custom_kinds_are_as_their_definitions_want_them(rendered: Outcome) -> None:
    for document in rendered.documents:
        if document["kind"] in CUSTOM:
            jsonschema.validate(document, json.loads((SCHEMAS / f"{document['kind']}.json").read_text()))


def test_names_are_unique_and_short(rendered: Outcome) -> None:
    names = [named(document) for document in rendered.documents]
    assert len(set(names)) == len(names)
    assert all(len(document["metadata"]["name"]) <= 63 for document in rendered.documents)


def test_every_selector_finds_the_gateway_alone(rendered: Outcome, pod: Gateway) -> None:
    selectors = [service["spec"]["selector"] for service in rendered.of_kind("Service")]
    for kind in ("Deployment", "PodDisruptionBudget"):
        selectors += [each["spec"]["selector"]["matchLabels"] for each in rendered.of_kind(kind)]
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in rendered.of_kind("NetworkPolicy")]
    spread = pod.spec.get("topologySpreadConstraints", [])
    selectors += [each["labelSelector"]["matchLabels"] for each in spread]
    others = [each["metadata"]["labels"] for each in rendered.of_kind("Pod")]
    for selector in selectors:
        assert selects(selector, pod.labels)
        assert not any(selects(selector, labels) for labels in others)
    services = [service["metadata"]["labels"] for service in rendered.of_kind("Service")]
    for monitor in rendered.of_kind("ServiceMonitor"):
        assert sum(selects(monitor["spec"]["selector"]["matchLabels"], labels) for labels in services) == 1


def test_every_port_that_is_named_exists(rendered: Outcome, pod: Gateway) -> None:
    assert len(set(pod.ports.values())) == len(pod.ports)
    offered: set[str] = set()
    for service in rendered.of_kind("Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in pod.ports
            offered.add(port["name"])
    for container in pod.containers.values():
        own = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {})
            port = (asked.get("httpGet") or asked.get("tcpSocket") or asked.get("grpc") or {}).get("port")
            assert port is None or port in own or port in pod.ports.values()
    for monitor in rendered.of_kind("ServiceMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= offered
    for policy in rendered.of_kind("NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            assert all(isinstance(port["port"], int) or port["port"] in pod.ports for port in rule["ports"])


def test_every_mount_has_a_volume_and_every_volume_a_mount(pod: Gateway) -> None:
    used = {volume for name in pod.containers for volume in pod.mounted(name).values()}
    assert used == set(pod.volumes)


def test_nobody_is_root_and_nothing_of_an_image_is_written(rendered: Outcome) -> None:
    pods = [rendered.one("Deployment")["spec"]["template"], *rendered.of_kind("Pod")]
    for spec in (each["spec"] for each in pods):
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            security = container["securityContext"]
            assert security["runAsUser"] > 0
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_processor_starts_before_envoy_and_ends_after_it(values: dict[str, Any], pod: Gateway) -> None:
    if "envoy" not in pod.containers:
        assert list(pod.containers) == ["processor"]
        return
    assert list(pod.containers) == ["render", "processor", "envoy"]
    assert pod.containers["processor"]["restartPolicy"] == "Always"
    drain = values.get("envoy", {}).get("drain", {}).get("most", 600)
    assert pod.spec["terminationGracePeriodSeconds"] > drain


def test_the_settings_are_valid_and_their_files_are_mounted(
    rendered: Outcome, pod: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(rendered, tmp_path, monkeypatch)
    files = [
        *settings.auth.keys,
        settings.notifications.secret_file,
        settings.admin.secret_file,
        settings.service_account.password_file if settings.service_account else None,
        settings.store.certificate,
        settings.store.private_key,
    ]
    for file in filter(None, files):
        assert pod.volume_of("processor", file) in pod.volumes
    readers = pod.containers.keys() - {"render"}
    for file in filter(None, (settings.sites.primary.ca, settings.sites.secondary.ca)):
        assert {pod.volume_of(reader, file) for reader in readers} == {"ca"}
    for file in filter(None, (settings.envoy.certificate, settings.envoy.private_key)):
        assert pod.volume_of("envoy", file) == "tls"
    if "envoy" not in pod.containers:
        assert settings.server.address is not None
        first = settings.server.address.port
        workers = {port for name, port in pod.ports.items() if name.startswith("grpc")}
        assert workers == set(range(first, first + settings.server.workers))
        return
    socket = settings.server.socket(0)
    assert pod.volume_of("processor", socket) == pod.volume_of("envoy", socket) == "sockets"
    assert settings.server.socket_access == "group"
    assert (settings.envoy.listen.port, settings.admin.address.port) == (pod.ports["registry"], pod.ports["admin"])
    assert settings.envoy.status is not None
    assert settings.envoy.status.port == pod.ports["stats"]
    assert settings.envoy.admin.host == "127.0.0.1"


def test_the_notes_name_what_was_installed(rendered: Outcome) -> None:
    for service in rendered.of_kind("Service"):
        assert f"{service['metadata']['name']}.registry.svc" in rendered.notes
    assert f"deployment/{rendered.one('Deployment')['metadata']['name']}" in rendered.notes


def test_another_setting_is_another_pod() -> None:
    def annotations(values: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = outcome(values).one("Deployment")["spec"]["template"]["metadata"]["annotations"]
        return found

    changed = least(settings={"policy": {"max_staleness": 30}})
    assert annotations(changed)["checksum/settings"] != annotations(LEAST)["checksum/settings"]
    assert annotations(changed)["checksum/drain"] == annotations(LEAST)["checksum/drain"]


def test_rules_and_dashboard_are_those_of_the_project() -> None:
    rendered = outcome(SETS["with rules and dashboard"])
    rules = yaml.safe_load((ROOT / "envoy" / "alerts.yaml").read_text())
    installed = rendered.one("PrometheusRule")["spec"]
    pages = {rule["annotations"].pop("runbook_url") for group in installed["groups"] for rule in group["rules"]}
    told = {rule["annotations"].pop("runbook_url") for group in rules["groups"] for rule in group["rules"]}
    assert installed == rules
    assert pages == {f"https://docs.example.com/geo/{page.removeprefix('docs/')}" for page in told}
    (dashboard,) = [each for each in rendered.of_kind("ConfigMap") if "geo-registry.json" in each["data"]]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["geo-registry.json"]) == json.loads(
        (ROOT / "envoy" / "dashboard.json").read_text()
    )
