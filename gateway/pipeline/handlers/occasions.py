"""Which records a handler is for, and how they are shown to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import MqttError
from gateway.events import Record
from gateway.functions import FunctionSpec
from gateway.mqtt import decode_publish_properties, matches
from gateway.store import decode_reference

if TYPE_CHECKING:
    from gateway.rules import EventFilter

TOPICS_KNOWN_MAX = 10_000
BLOB_HEADER = "penstock-blob"


class Occasions:
    """Decides which records a handler is given: by topic, by condition, and never its own."""

    def __init__(self, spec: FunctionSpec) -> None:
        self._spec = spec
        self._filter = condition_of(spec.where) if spec.where else None
        self._verdicts: dict[str, bool] = {}

    def wants(self, record: Record) -> bool:
        """Whether the handler is for this record."""
        topic = record.topic
        verdict = self._verdicts.get(topic)
        if verdict is None:
            if len(self._verdicts) >= TOPICS_KNOWN_MAX:
                self._verdicts.clear()
            verdict = self._verdicts[topic] = matches(self._spec.topic_filter, topic)
        # What it has published itself would start it again, and again.
        if not verdict or record.client == self._spec.client:
            return False
        return self._filter is None or self._filter.admits(
            topic, record.device, record.arrival_ms, record.payload
        )


def condition_of(where: str) -> EventFilter:
    """A condition in the language of the rules, which most handlers need nothing of."""
    from gateway.rules import EventFilter

    return EventFilter(where)


def key_of(record: Record, handler: str) -> str:
    """What names a record and a handler for ever."""
    return f"{record.stream}/{record.partition}/{record.offset}/{handler}"


def content_of(record: Record, handler: str, attempt: int) -> dict[str, Any]:
    """The fields of a record's `Event`, but for the decoded payload: the worker decodes it."""
    return {
        "topic": record.topic,
        "device": record.device,
        "raw": record.payload,
        "stream": record.stream,
        "partition": record.partition,
        "offset": record.offset,
        "time_ms": record.arrival_ms,
        "key": key_of(record, handler),
        "headers": headers_of(record),
        "attempt": attempt,
    }


def headers_of(record: Record) -> dict[str, str]:
    """The user properties of a record; of several of one name the last."""
    own = {BLOB_HEADER: reference_of(record)} if record.is_claim else {}
    if not record.properties:
        return own
    try:
        return dict(decode_publish_properties(record.properties).user_properties) | own
    except MqttError:
        return own


def reference_of(record: Record) -> str:
    """The digest of the blob that holds a record's payload."""
    reference = decode_reference(record.payload)
    return "" if reference is None else reference.digest
