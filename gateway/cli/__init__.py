"""The `penstock` command: parse, call, print."""

from gateway.cli.main import main

__all__ = ["main"]
