"""Our own client of the two registries, for reconcile and for renewing leases; never on a request's path.

The way of a question

    RegistryClient    what is asked: resolve, manifest, has_blob, tags, tag_details, catalog, repositories_below
      └ Line          one site's HTTP: rate, token, tries, sizes; no redirect is followed
          └ TokenSource   scoped tokens from the configured issuer, and from nowhere else

`open_registries` (connect.py) builds both clients from the settings.
"""
