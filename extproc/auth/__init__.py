"""The registry token: keys, verification, what an operation needs, and the challenge."""
