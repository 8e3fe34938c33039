"""geo-extproc: one registry URL per site, reads served where the data already is.

The way of a request

    Envoy ── ext_proc stream ──▶ transport    bytes of gRPC messages, nothing else
                                 processor    phases of one stream: wire messages ↔ plain heads
                                 routing      router: parse → verify → admit → look up → resolve
                                   oci        what the request asks
                                   auth       who may ask it
                                   evidence   what was seen of the two sites
    Envoy ◀── x-geo-route, x-geo-reason ──

and, for answers that can teach something and for writes, once more with the response's head.

The map (imports point down)

    cli         commands, thin                       sandbox    two sites on one machine
    app         composition root                     supervisor, worker: processes
    bootstrap   Envoy's configuration from settings  explain    one request in words    files   those of the settings
    transport   grpcio, or the fast lane             admin      health, copies of unseen writes
    processor   codec, exchange, stream              evidence/* stores and their keepers
    routing     decision (pure), router, learning
    evidence.store (protocol), evidence.model · auth · oci
    reconcile   both sites compared, name by name     registry   our own client of the two
    renewal     leases of hot tags kept fresh        status     what is held, in figures
    doctor      a running installation looked at, with remedies
    telemetry   names, recorder, set-up              settings   every setting
    form        whether the hot path is compiled

The rules each part keeps are stated at the top of its modules; docs/ has the pages for people.
"""
