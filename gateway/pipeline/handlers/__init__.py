"""Handlers: people's own functions at work on the log."""
