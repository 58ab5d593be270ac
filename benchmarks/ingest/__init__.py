"""The ingest benchmark: a load generator that is not the bottleneck, and its table."""
