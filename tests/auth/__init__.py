"""Tests of extproc.auth."""
