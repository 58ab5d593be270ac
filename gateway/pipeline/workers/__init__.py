"""The rules in a process of their own, so that ingest never waits for them."""
