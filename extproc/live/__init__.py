"""What changes while we serve: which files are looked at, and which of their settings take effect at once.

watch    the files, looked at twice a second
change   old and new settings: what is adopted, what waits for a restart
reload   both together: a change as a whole or not at all
role     which site this is: Envoy's runtime follows
orders   what a supervisor tells its workers of it
signals  how it is asked for
pausable work in the background that one role has no use for
"""
