"""What a function gives back, as runs of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.errors import MqttError
from gateway.events import Flag, Origin, Run
from gateway.mqtt import decode_topic_name
from gateway.pipeline.handlers.workers import FunctionFailed
from gateway.pipeline.sheets import QOS_FLAGS, id_properties

Route = Callable[[str], tuple[str, int, Origin]]
Row = tuple[str, bytes, bool, int]
GATEWAY_ROOTS = ("$", "audit/", "alarms/")


class Publisher:
    """Places what one handler publishes; ids are of the event that caused it and a number."""

    def __init__(self, route: Route, client: str) -> None:
        self._route = route
        self._client = client

    def runs_of(self, rows: Sequence[Row], key: str, arrival_ms: int) -> list[Run]:
        """One run for each row, in order.

        Raises:
            FunctionFailed: a topic is none, or one that nobody may publish to.
        """
        return [self._run(row, f"{key}/{index}", arrival_ms) for index, row in enumerate(rows)]

    def _run(self, row: Row, output_id: str, arrival_ms: int) -> Run:
        topic, payload, is_retained, qos = row
        if topic.startswith(GATEWAY_ROOTS):
            raise FunctionFailed(f"it returned the topic '{topic}', which is the gateway's own")
        try:
            stream, partition, origin = self._route(decode_topic_name(topic.encode()))
        except (MqttError, UnicodeEncodeError) as error:
            raise FunctionFailed(f"it returned the topic '{topic}': {error}") from error
        flags = QOS_FLAGS[qos] | (Flag.RETAIN if is_retained else 0)
        properties = id_properties(output_id)
        return Run(
            stream,
            partition,
            self._client,
            arrival_ms,
            [origin],
            [payload],
            bytes([flags]),
            [properties],
        )
