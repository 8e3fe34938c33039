"""Tests of extproc.oci."""
