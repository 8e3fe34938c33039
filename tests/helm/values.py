"""Sets of values: each feature on and off, alone and together."""

from __future__ import annotations

from typing import Any, Final

from extproc.sandbox.edge import merged

SITES: Final = {
    "primary": {"url": "https://registry.primary.example.com"},
    "secondary": {"url": "http://registry.gitlab.svc:5000"},
}
LEAST: Final[dict[str, Any]] = {
    "settings": {"sites": SITES, "auth": {"realm": "https://gitlab.example.com/jwt/auth"}},
    "keys": {"existingSecret": "issuer-keys"},
    "redis": {"existingSecret": "geo-redis"},
}
"""What must be given for GitLab."""


def least(**more: Any) -> dict[str, Any]:
    """With more of them, merged in."""
    return merged(LEAST, more)


SECRETS: Final = {
    "notifications": {"existingSecret": "geo-notifications"},
    "readers": {"existingSecret": "geo-readers", "key": "token"},
    "registryAccount": {"existingSecret": "geo-account"},
    "ca": {"existingSecret": "geo-ca"},
}
ROUTES: Final = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "registry.example.com",
        "tlsSecret": "registry-tls",
        "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["registry.example.com"],
    },
}
PLACED: Final = {
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "registry", "operator": "Exists"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}}}
            ]
        }
    },
    "priorityClassName": "system-cluster-critical",
    "imagePullSecrets": [{"name": "pull"}],
    "podAnnotations": {"example.com/team": "platform"},
    "podLabels": {"team": "platform"},
}
TOKENLESS: Final = {
    "settings": {"sites": SITES, "auth": {"mode": "passthrough"}},
    "processor": {"workers": 1},
    "replicaCount": 1,
}

SETS: Final[dict[str, dict[str, Any]]] = {
    "the least": LEAST,
    "no tokens, no Redis": TOKENLESS,
    "TLS at the listener": least(envoy={"tlsSecret": "registry-tls"}, service={"type": "LoadBalancer", "port": 443}),
    "every Secret": least(**SECRETS, settings={"service_account": {"username": "geo"}}),
    "CA from a ConfigMap": least(ca={"existingConfigMap": "company-ca"}),
    "an Ingress": least(ingress=ROUTES["ingress"]),
    "an Ingress without TLS": least(ingress={"enabled": True, "host": "registry.example.com"}),
    "a Gateway's route": least(httpRoute=ROUTES["httpRoute"]),
    "watched": least(
        serviceMonitor={"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}, "site": "site-b"}
    ),
    "watched with a secret": least(
        serviceMonitor={"enabled": True}, readers={"existingSecret": "geo-readers", "key": "token"}
    ),
    "with rules and dashboard": least(
        prometheusRule={
            "enabled": True,
            "labels": {"release": "prometheus"},
            "docs": "https://docs.example.com/geo/",
        },
        dashboard={"enabled": True, "annotations": {"grafana_folder": "Registries"}},
    ),
    "scaled": least(autoscaling={"enabled": True, "maxReplicas": 10}, podDisruptionBudget={"maxUnavailable": "25%"}),
    "guarded": least(
        networkPolicy={
            "enabled": True,
            "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "adminFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        }
    ),
    "guarded, and no admin": least(networkPolicy={"enabled": True}),
    "placed": least(**PLACED),
    "plain": least(
        podDisruptionBudget={"enabled": False},
        serviceAccount={"create": False},
        topologySpreadConstraints=[],
        replicaCount=1,
    ),
    "one account for all": least(serviceAccount={"name": "registry", "annotations": {"example.com/role": "pull"}}),
    "images by digest": least(
        image={"digest": "sha256:" + "1" * 64}, envoy={"image": {"digest": "sha256:" + "2" * 64}}
    ),
    "the processor alone": least(envoy={"enabled": False}, processor={"workers": 3}),
    "the processor alone, guarded and watched": least(
        **SECRETS,
        settings={"service_account": {"username": "geo"}},
        envoy={"enabled": False},
        networkPolicy={"enabled": True, "adminFrom": [{"podSelector": {}}]},
        serviceMonitor={"enabled": True},
    ),
    "settings of every kind": least(
        settings={
            "server": {"drain": 3, "max_concurrent_streams": 2000},
            "store": {"url": "rediss://redis.example.com:6380/0", "budget": 0.04},
            "policy": {"max_staleness": 30, "serve_stale": "if-primary-down"},
            "rollout": {"mode": "observe", "include": ["group/**", "a/*"], "percentage": 12.5},
            "envoy": {"fallback": "priorities", "max_connections": 1000000, "response_headers": False},
            "telemetry": {"exporter": "otlp", "otlp_endpoint": "http://collector.monitoring.svc:4317"},
            "reconcile": {"period": 86400},
        },
        redis={"existingSecret": ""},
        extraEnv=[{"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "deployment.environment.name=production"}],
    ),
    "files of one's own": least(
        settings={"store": {"certificate": "/etc/redis/tls.crt", "private_key": "/etc/redis/tls.key"}},
        extraVolumes=[{"name": "redis-tls", "secret": {"secretName": "redis-tls"}}],
        extraVolumeMounts=[{"name": "redis-tls", "mountPath": "/etc/redis", "readOnly": True}],
    ),
    "everything": least(
        **SECRETS,
        **ROUTES,
        **PLACED,
        settings={"service_account": {"username": "geo"}},
        envoy={"tlsSecret": "registry-tls"},
        serviceMonitor={"enabled": True},
        prometheusRule={"enabled": True},
        dashboard={"enabled": True},
        autoscaling={"enabled": True},
        networkPolicy={"enabled": True, "adminFrom": [{"podSelector": {}}]},
        fullnameOverride="the-registry",
    ),
}
