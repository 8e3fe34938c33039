"""What is held of a site and of a name, in figures: `geo-extproc status`, and the admin server's `/status`.

    reports   reads the store, bounded, and makes documents that JSON can carry
      ├ name    pure: what a record says
      └ site    adds records up
    table     a document for people, in a terminal
    words     durations and digests as people read them

It only reads, and nothing is decided on it. Durations are seconds. What each figure means is told where it is
defined, and for users in docs/status.md.
"""
