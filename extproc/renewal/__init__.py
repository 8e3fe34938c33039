"""Keeps the leases of hot tags fresh, so that their readers never wait for the primary (the service account's work).

    router ── a tag was read, was written ──▶ hot_tags    which tags, and when to look at each
    ingest ── a held lease was dropped ─────▶ renewal     decide → ask the primary → learn, bounded
                                              patience    how long a primary that fails is left alone
    app ────────────────────────────────────▶ opening     from settings to a running task

A worker remembers only that a tag was read: what it points to is in the store alone, and learned by operation 4.
"""
