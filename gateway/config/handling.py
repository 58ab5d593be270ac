"""Reads the section `handlers:`: which functions of people's own work on which events."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.documents import Node, Section, did_you_mean
from gateway.errors import ExpressionInvalid, MqttError, PenstockError
from gateway.functions import FunctionSpec
from gateway.mqtt import check_topic_filter

FOLDER = Path("../handlers")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
CALL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
STARTS = ("latest", "earliest")
CONCURRENCY_MAX = 64
IN_FLIGHT_MAX = 1_000
TRIES_MAX = 1_000
TIME_LIMIT_MS_MAX = 3_600_000
MEMORY_BYTES_LEAST = 32 << 20
OWN_STREAMS = ("alerts", "alarms", "audit", "dead-letters", "presence")
ANYTHING = FunctionSpec("", "", FOLDER)


class HandlerStreamUnknown(PenstockError):
    """A handler is to read a stream that the gateway doesn't have."""


def read_handlers(top: Section, base: Path) -> tuple[FunctionSpec, ...]:
    """Every handler, in file order; its folder is relative to `base`."""
    section = top.section("handlers")
    if section is None:
        return ()
    folder = base / section.text("folder", str(FOLDER))
    found: dict[str, FunctionSpec] = {}
    for one in section.sections("functions"):
        spec = _handler(one, folder)
        if spec.name in found:
            one.complain(f"duplicate handler name '{spec.name}'", "name")
        found[spec.name] = spec
    section.finish("functions")
    return tuple(found.values())


def check_handlers(handlers: Sequence[FunctionSpec], streams: Collection[str]) -> None:
    """See that every handler reads a stream that there is, beside the gateway's own.

    Raises:
        HandlerStreamUnknown: one doesn't; says which there are.
    """
    known = sorted({*streams, *OWN_STREAMS})
    for spec in handlers:
        if spec.stream not in known:
            hint = did_you_mean(spec.stream, known) or f"; there are: {', '.join(known)}"
            raise HandlerStreamUnknown(
                f"handler '{spec.name}' reads the stream '{spec.stream}', which there isn't{hint}"
            )


def _handler(section: Section, folder: Path) -> FunctionSpec:
    section.require("name", "call", "filter")
    default = ANYTHING
    spec = FunctionSpec(
        name=_matching(section, "name", NAME, "small letters, digits, - and _, a letter first"),
        call=_matching(section, "call", CALL, "MODULE:FUNCTION, such as levels:to_metres"),
        folder=folder,
        topic_filter=_filter(section),
        stream=section.text("stream", default.stream),
        where=_where(section),
        start=section.choice("start", STARTS, default.start),
        concurrency=section.integer(
            "concurrency", default.concurrency, least=1, most=CONCURRENCY_MAX
        ),
        in_flight_max=section.integer(
            "in_flight", default.in_flight_max, least=1, most=IN_FLIGHT_MAX
        ),
        time_limit_ms=section.duration_ms(
            "time_limit", default.time_limit_ms, least=10, most=TIME_LIMIT_MS_MAX
        ),
        memory_bytes_max=section.size_bytes(
            "memory", default.memory_bytes_max, least=MEMORY_BYTES_LEAST
        ),
        tries_max=section.integer("tries", default.tries_max, least=1, most=TRIES_MAX),
        backoff_ms=section.duration_ms("backoff", default.backoff_ms, least=1),
        backoff_ms_max=section.duration_ms("backoff_max", default.backoff_ms_max, least=1),
    )
    section.finish()
    return spec


def _matching(section: Section, key: str, pattern: re.Pattern[str], wanted: str) -> str:
    text = section.text(key)
    if section.get(key) is not None and not pattern.fullmatch(text):
        section.complain(f"'{text}' is not a {key} ({wanted})", key)
    return text


def _filter(section: Section) -> str:
    text = section.text("filter", ANYTHING.topic_filter)
    node = section.get("filter")
    if node is not None:
        _check_filter(section, node)
    return text


def _check_filter(section: Section, node: Node) -> None:
    if node.source.startswith("$"):
        section.complain_at(node, f"'{node.source}' starts with $; a handler takes plain filters")
        return
    try:
        check_topic_filter(node.source)
    except MqttError as error:
        section.complain_at(node, str(error))


def _where(section: Section) -> str:
    text = section.text("where")
    node = section.get("where")
    if node is not None:
        # The language takes a while to load, and most handlers need none of it.
        from gateway.rules import EventFilter

        try:
            EventFilter(text)
        except ExpressionInvalid as error:
            section.complain_at(node, f"in 'where': {error}")
    return text
