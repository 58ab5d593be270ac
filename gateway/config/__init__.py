"""From one YAML file to the options of every layer."""

from gateway.config.loader import GatewayConfig, StreamConfig, is_loopback, load_config

__all__ = ["GatewayConfig", "StreamConfig", "is_loopback", "load_config"]
