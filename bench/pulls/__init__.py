"""Whole pulls by skopeo, side by side: through the gateway, straight from the secondary, from the primary across the
WAN, and from a registry's own pull-through cache."""
