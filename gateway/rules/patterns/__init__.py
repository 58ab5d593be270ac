"""Patterns over time: sequences of events, and the absence of them."""
