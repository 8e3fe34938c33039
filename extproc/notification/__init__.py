"""What the two registries tell of themselves (operations 5 and 6 of docs/evidence.md), and what becomes of it.

    admin ── body ──▶ envelope   events, or the reason why it is refused; nothing is applied before all is read
                ────▶ effect     pure: what each event makes untrue (primary) or known (secondary)
                ────▶ ingest     the store's calls; the sender gets its 2xx only after all of them

A notification only ever makes the site more careful, or points to bytes that are checked by their digest: it adds no
lease, lifts no tombstone, and no address in it is ever asked.
"""
