"""From one YAML file to the options of every layer."""

from gateway.config.handling import HandlerStreamUnknown, check_handlers
from gateway.config.listeners import UNREACHABLE, is_loopback
from gateway.config.loader import GatewayConfig, StreamConfig, load_config

__all__ = [
    "UNREACHABLE",
    "GatewayConfig",
    "HandlerStreamUnknown",
    "StreamConfig",
    "check_handlers",
    "is_loopback",
    "load_config",
]
