"""For Istio: what runs. A gateway of its own, or the registry's pods with two more containers.

The proxy's container is Istio's to write. At a gateway the pod names it, with the image `auto`, and Istio fills in
the rest ("Customizing injection"); in the registry's pods an annotation does, so that the document can be laid over a
Deployment that is there (`kubectl apply --server-side`).
"""

from __future__ import annotations

import json
from typing import Final

from extproc.mesh import pod
from extproc.mesh.parts import Document, hostname
from extproc.settings import Settings

PROXY: Final = "istio-proxy"
PROXY_GROUP: Final = 1337
"""As which Istio's proxy runs; with it as the volumes' group (`fsGroup`) both containers reach the sockets."""


def gateway(settings: Settings) -> list[Document]:
    """Gateway, Deployment, Service and ServiceAccount. Raises FormError."""
    mesh = settings.mesh
    names = {"name": mesh.name, "namespace": mesh.namespace}
    protocol = "HTTPS" if mesh.certificate_secret else "HTTP"
    server: Document = {
        "port": {"number": mesh.port, "name": protocol.lower(), "protocol": protocol},
        "hosts": [hostname(settings)],
    }
    if mesh.certificate_secret:
        server["tls"] = {"mode": "SIMPLE", "credentialName": mesh.certificate_secret}
    return [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": names,
            "spec": {"selector": mesh.labels, "servers": [server]},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": names},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": names,
            "spec": {
                "selector": {"matchLabels": mesh.labels},
                "template": {
                    "metadata": {
                        "labels": {**mesh.labels, "sidecar.istio.io/inject": "true"},
                        "annotations": {"inject.istio.io/templates": "gateway"},
                    },
                    "spec": {
                        "serviceAccountName": mesh.name,
                        "securityContext": {
                            "fsGroup": PROXY_GROUP,
                            "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
                        },
                        "containers": [
                            {"name": PROXY, "image": "auto", "volumeMounts": pod.proxy_mounts(settings)},
                            pod.container(settings),
                        ],
                        "volumes": pod.volumes(settings),
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": names,
            "spec": {
                "type": "LoadBalancer",
                "selector": mesh.labels,
                "ports": [{"name": protocol.lower(), "port": mesh.port, "targetPort": mesh.port}],
            },
        },
    ]


def sidecar(settings: Settings) -> list[Document]:
    """What is laid over the registry's Deployment, which has the name `mesh.name`."""
    mesh = settings.mesh
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": mesh.name, "namespace": mesh.namespace},
            "spec": {
                "template": {
                    "metadata": {
                        "labels": {"sidecar.istio.io/inject": "true"},
                        "annotations": {"sidecar.istio.io/userVolumeMount": json.dumps(pod.proxy_mounts(settings))},
                    },
                    "spec": {
                        "securityContext": {"fsGroup": PROXY_GROUP},
                        "containers": [pod.container(settings)],
                        "volumes": pod.volumes(settings),
                    },
                }
            },
        }
    ]
