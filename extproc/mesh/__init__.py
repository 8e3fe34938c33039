"""Envoy's configuration as the documents by which a mesh or a gateway makes it: the same parts, in other hands.

    bootstrap.plain ─▶ Parts ─┬─▶ istio, workload ──▶ EnvoyFilter, Gateway, Deployment, Service
                              └─▶ envoy_gateway ──▶ Gateway, EnvoyProxy, HTTPRoute, policies

    form           which of them
    parts          the bootstrap taken apart: clusters, routes, filters, the entry's limits
    absent         what the proxy of a mesh is not built with, and so is left out of its form
    istio          EnvoyFilter: a list of patches by what they apply to
    workload       for Istio: what runs, and the processor beside it
    envoy_gateway  Envoy Gateway's and the Gateway API's kinds, and JSON patches for what these do not say
    pod            the processor's container and its volumes
    render         a form's documents, written down

Nothing is decided here: what a part means stands in `extproc.bootstrap`, and a change there reaches every form. No
mesh compiles the composite cluster in, or not in all versions, so all of them need `envoy.fallback = "priorities"`.
"""
