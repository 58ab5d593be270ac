"""From one YAML file to the options of every layer."""

from gateway.config.claims import claim_limits
from gateway.config.device_streams import DEVICE_STREAMS, DeviceStream
from gateway.config.handling import HandlerStreamUnknown, check_handlers
from gateway.config.listeners import UNREACHABLE, is_loopback
from gateway.config.loader import GatewayConfig, StreamConfig, load_config

__all__ = [
    "DEVICE_STREAMS",
    "UNREACHABLE",
    "DeviceStream",
    "GatewayConfig",
    "HandlerStreamUnknown",
    "StreamConfig",
    "check_handlers",
    "claim_limits",
    "is_loopback",
    "load_config",
]
