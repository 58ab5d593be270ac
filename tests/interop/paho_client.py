"""Eclipse Paho's client, with waits in place of call-backs."""

from __future__ import annotations

import queue
import threading
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

WAIT_S = 10.0


class PahoClient:
    """A connected client with its network thread; what it receives waits in a queue."""

    def __init__(
        self,
        port: int,
        client_id: str,
        version: MQTTProtocolVersion,
        *,
        keep_alive_s: int = 60,
        clean: bool = True,
    ) -> None:
        options = {} if version == MQTTv5 else {"clean_session": clean}
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version, **options
        )
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.log: queue.Queue[str] = queue.Queue()
        self.disconnected: queue.Queue[Any] = queue.Queue()
        self._connected, self._subscribed = threading.Event(), threading.Event()
        self.granted: list[Any] = []
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.disconnected.put(reason)
        self.client.on_subscribe = self._note_grant
        self.client.on_log = lambda _c, _u, _level, text: self.log.put(text)
        self.client.connect("127.0.0.1", port, keepalive=keep_alive_s)
        self.client.loop_start()
        assert self._connected.wait(WAIT_S)

    def __enter__(self) -> PahoClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _note_grant(
        self, _client: Any, _userdata: Any, _mid: int, reasons: list[Any], _p: Any
    ) -> None:
        self.granted = [reason.value for reason in reasons]
        self._subscribed.set()

    def subscribe(self, *filters: tuple[str, int]) -> list[int]:
        """Subscribe and wait; returns the granted QoS or reason of each."""
        self._subscribed.clear()
        self.client.subscribe(list(filters))
        assert self._subscribed.wait(WAIT_S)
        return self.granted

    def publish(self, topic: str, payload: bytes, qos: int, **options: Any) -> None:
        """Publish and wait until the client holds it to be done: at QoS 1, acknowledged."""
        self.client.publish(topic, payload, qos, **options).wait_for_publish(WAIT_S)

    def receive(self, count: int = 1) -> list[MQTTMessage]:
        """Wait for the next messages."""
        return [self.messages.get(timeout=WAIT_S) for _ in range(count)]

    def wait_for_log(self, part: str) -> None:
        """Wait until the client logs a line with this part."""
        while part not in self.log.get(timeout=WAIT_S):
            pass
