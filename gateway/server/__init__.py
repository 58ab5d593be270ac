"""The asyncio side of MQTT: listeners, connections, ingest, fan-out."""

from gateway.server.mqtt_server import AddressUnavailable, MqttServer
from gateway.server.options import ListenerOptions, ServerOptions

__all__ = ["AddressUnavailable", "ListenerOptions", "MqttServer", "ServerOptions"]
