"""Long suites, and those that need more programs: each has a target of its own in the Makefile."""
