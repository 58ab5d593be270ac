"""From one YAML file to the options of every layer."""

from gateway.config.claims import claim_limits
from gateway.config.device_streams import DEVICE_STREAMS, DeviceStream
from gateway.config.handling import HandlerStreamUnknown, check_handlers
from gateway.config.listeners import UNREACHABLE, is_loopback
from gateway.config.loader import GatewayConfig, StreamConfig, load_config
from gateway.config.own_streams import TICKS, all_specs, rule_streams, stream_routes

__all__ = [
    "DEVICE_STREAMS",
    "TICKS",
    "UNREACHABLE",
    "DeviceStream",
    "GatewayConfig",
    "HandlerStreamUnknown",
    "StreamConfig",
    "all_specs",
    "check_handlers",
    "claim_limits",
    "is_loopback",
    "load_config",
    "rule_streams",
    "stream_routes",
]
