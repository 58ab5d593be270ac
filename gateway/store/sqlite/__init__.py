"""The embedded engine: SQLite in WAL mode, one file a data directory."""
