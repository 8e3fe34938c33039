"""Carries ext_proc streams; grpc is known only here."""
