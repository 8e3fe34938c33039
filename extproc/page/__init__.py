"""The status page: what is served where, and why, for people; and its live feed.

    pages      aiohttp: the addresses, and what each answers
      ├ feed      pure: what of a page has changed since somebody last saw it
      ├ writing   documents into HTML (templates/, assets/)
      └ watch     asks the workers, Envoy and the store, now and then, and gives snapshots
           ├ traffic   pure: counters that only grow, into what came in the last minute and hour
           ├ served    Envoy's counters of what each site served
           └ verdict   pure: a snapshot in sentences

It only reads, off the hot path: in the supervisor, at most one question at a time to each of those that serve.
"""
