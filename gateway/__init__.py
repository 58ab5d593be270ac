"""Penstock: an MQTT ingestion gateway for the edge."""

__version__ = "0.1.0"
