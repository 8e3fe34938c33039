"""Spans, metrics and logs: what each decision looks like from outside."""
