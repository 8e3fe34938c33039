"""Alerts in the faults that they are for."""
