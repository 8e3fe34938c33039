"""`geo-extproc doctor`: looks at a running installation from outside, and says what is wrong and how to mend it.

    installation   who is asked: both registries, the issuer, the gateway, its admin interface, ours, the store
      peer           one of them over HTTP, with bounded time and no redirect followed
      tokens         the service account's, or the one that was given
      repository     a name, and a blob of it, to ask about
    checks         all of them, by name
      token_keys, token_accepted   the issuer's key, here and at both registries
      registry_auth                both registries judge tokens themselves
      clock                        everybody's clock against ours
      store, store_durability      Redis: version, speed, what it keeps
      notifications                the secret, and whether anything arrives
      redirects                    where the secondary sends readers of blobs
      site_urls                    no site's URL is the gateway's
      envoy, envoy_config, steering   Envoy: version, clusters, its configuration, what clients may not say
      processor                    workers, readiness, sockets
    examination    runs checks beside each other, each within its time
    report         findings as a document, and as a table

Rules
1. A check gives findings, never raises: what cannot be looked at is unknown, and says what would help.
2. A finding that is not good has a remedy.
3. Nothing is changed: no name, tag or blob is written. In the store a name of our own lives for ten seconds; the
   processor logs two refused notifications.
4. No finding shows a token, a password, a secret or the query of a signed URL.
"""
