"""HTTP beside the processor: health, and the copies of writes that no processor saw."""
