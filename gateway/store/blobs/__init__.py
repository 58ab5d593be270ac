"""Payloads too large for the log: files beside it, named by what they contain."""
