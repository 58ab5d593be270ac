"""The `input` of a test case: topics, payloads and series to messages with their times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from gateway.documents import Node, Section
from gateway.errors import MqttError
from gateway.mqtt import check_topic_name
from gateway.rules.trials.cases import TrialEvent
from gateway.rules.trials.series import MISSING, Series, SeriesInvalid, parse_series
from gateway.rules.watermarks import TIME_MS_MAX

EVENTS_MAX: Final = 100_000
PAYLOAD: Final = "payload"
DOTTED: Final = f"{PAYLOAD}."
SPAN_MS_MAX: Final = 3_660 * 86_400_000
SECOND_MS: Final = 1_000


def read_events(sections: Iterable[Section], start_ms: int) -> list[TrialEvent]:
    """The messages of every input, in the order in which they arrive."""
    found: list[TrialEvent] = []
    for section in sections:
        events = _read_input(section, start_ms)
        if len(found) + len(events) > EVENTS_MAX:
            section.complain(f"more than {EVENTS_MAX} events in one case")
            break
        found += events
    return sorted(found, key=lambda event: event.arrival_ms)


def _read_input(section: Section, start_ms: int) -> list[TrialEvent]:
    section.require("topic")
    topic = _topic(section)
    device = section.text("device") or None
    every_ms = section.duration_ms("every", least=1, most=SPAN_MS_MAX)
    at_ms = section.duration_ms("at", most=SPAN_MS_MAX)
    delay_ms = section.duration_ms("delay", most=SPAN_MS_MAX)
    stamp = section.text("stamp")
    if stamp and not stamp.startswith(DOTTED):
        section.complain("'stamp' names a field of the payload, as in payload.ts", "stamp")
        stamp = ""
    fields = _series(section)
    whole = section.get(PAYLOAD)
    count = _count(section, fields)
    section.finish()
    if count > 1 and "every" not in section:
        section.complain(f"{count} events need 'every', as in every: 10s")
    if whole is not None and whole.kind == "scalar" and (fields or stamp):
        section.complain("a payload that is one text has no fields", PAYLOAD)
        return []
    found = []
    for index in range(count):
        values = {name: series.at(index) for name, series in fields.items()}
        if _is_gap(fields, values):
            continue
        time_ms = at_ms + index * every_ms
        if stamp:
            values[stamp] = start_ms + time_ms
        raw = _payload(section, whole, values)
        found.append(TrialEvent(time_ms + delay_ms, topic, device, raw))
    return found


def _topic(section: Section) -> str:
    topic = section.text("topic")
    if topic:
        try:
            check_topic_name(topic)
        except MqttError as error:
            section.complain(f"'{topic}' is no topic: {error}", "topic")
    return topic


def _series(section: Section) -> dict[str, Series]:
    """Every `payload.some.field` that is written, with its values."""
    fields = {}
    keys = [key for key in section.keys() if key.startswith(DOTTED)]  # noqa: SIM118 - no mapping
    for key in keys:
        node = section.get(key)
        if node is None:
            continue
        if not all(key.split(".")):
            section.complain(f"'{key}' is no field; write payload.temperature", key, at_key=True)
        fields[key] = _series_of(section, node)
    return fields


def _series_of(section: Section, node: Node) -> Series:
    if node.kind != "scalar" or not isinstance(node.value, str):
        return Series((node.plain(),))
    try:
        return parse_series(node.value)
    except SeriesInvalid as error:
        section.complain_at(node, str(error))
        return Series((None,))


def _count(section: Section, fields: Mapping[str, Series]) -> int:
    """How many events an input makes: what its series say, or `times`."""
    times = section.integer("times", 1, least=1, most=EVENTS_MAX)
    count = max((len(series.values) for series in fields.values()), default=1)
    for name, series in fields.items():
        if not series.is_constant and len(series.values) != count:
            section.complain(
                f"'{name}' has {len(series.values)} values and another series {count}", name
            )
            return 0
    if count > 1 and "times" in section and times != count:
        section.complain(f"'times' is {times}, but a series has {count} values", "times")
        return 0
    return count if count > 1 else times


def _is_gap(fields: Mapping[str, Series], values: Mapping[str, Any]) -> bool:
    """Whether every field that changes is missing: then nothing is sent."""
    moving = [name for name, series in fields.items() if not series.is_constant]
    return bool(moving) and all(values[name] is MISSING for name in moving)


def _payload(section: Section, whole: Node | None, values: Mapping[str, Any]) -> bytes:
    if whole is not None and whole.kind == "scalar":
        return whole.source.encode()
    payload: dict[str, Any] = {}
    if whole is not None:
        if whole.kind == "list":
            return orjson.dumps(whole.plain())
        payload = whole.plain()
    for name, value in values.items():
        if value is not MISSING:
            _put(section, payload, name, value)
    return orjson.dumps(payload)


def _put(section: Section, payload: dict[str, Any], name: str, value: Any) -> None:
    *folders, last = name.split(".")[1:]
    place = payload
    for folder in folders:
        place = place.setdefault(folder, {})
        if not isinstance(place, dict):
            section.complain(f"'{name}' lies inside something that has no fields", name)
            return
    place[last] = value


def parse_start_ms(text: str) -> int | None:
    """A moment as ISO 8601 (UTC where it names no zone), in milliseconds since 1970."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    start_ms = round(moment.timestamp() * SECOND_MS)
    return start_ms if 0 <= start_ms <= TIME_MS_MAX - SPAN_MS_MAX else None
