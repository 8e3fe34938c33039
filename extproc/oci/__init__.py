"""The OCI distribution specification's nouns: references, operations, errors. Standard library only."""
