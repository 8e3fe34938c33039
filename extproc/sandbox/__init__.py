"""A whole two-site system on free loopback ports, for tests, the demo and a first look.

The way up (system.py; the way down is the reverse)
1. warden: outlives us, ends every program and removes the folder however we end
2. site.py, the registries without us: certificates, issuer, primary, secondary, redis, relay (the WAN)
3. edge.py, what a secondary site adds: the processor, then Envoy in front of it
"""
