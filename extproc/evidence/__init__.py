"""What was seen of the two sites, and how long it may be believed."""
