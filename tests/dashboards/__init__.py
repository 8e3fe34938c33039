"""What is watched with: the dashboard and the alert rules in envoy/."""
