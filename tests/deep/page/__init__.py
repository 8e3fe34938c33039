"""The status page as people see it."""
