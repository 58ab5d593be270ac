"""`penstock devices`: the registry of devices, and everything that is done to one of them."""

from gateway.cli.devices.app import app

__all__ = ["app"]
