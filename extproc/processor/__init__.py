"""One ext_proc stream, without I/O of its own: wire messages in, wire messages out."""
