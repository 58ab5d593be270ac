"""Simulated firmware: the far end of the wire."""
