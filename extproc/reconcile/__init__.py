"""Comparing both sites, name by name, so that a site is warm before its first client asks.

The way of a run

    claimed           one run at a time (claim.py)
      └ Reconciler    all names, so many at once (run.py)
          ├ Source        catalog, store, file, or GitLab's listing (source.py)
          ├ Checkpoint    what is done, kept in the store: a killed run is continued (checkpoint.py)
          ├ Outage        a site that is down ends the run early (outage.py)
          └ Comparison    one name (comparison.py)
              ├ listing   its tags, in bulk or one by one (listing.py)
              └ Presence  what the secondary has, by digest (presence.py)

A run ends with a Summary (summary.py). The command `reconcile` starts one, and Schedule (schedule.py) in `serve`.
For people: progress.py and report.py.
"""
