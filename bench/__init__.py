"""Measurements: each is run by a target of the Makefile, none by a test."""
