"""Reads config/gateway.yaml into each layer's own options; every error says file:line:column.

No default is repeated here: an option that is not written keeps what its layer says.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from gateway.devices import DeviceTopics, TopicTemplateInvalid
from gateway.documents import Section, parse_document, read_document
from gateway.errors import MqttError
from gateway.mqtt import check_topic_filter
from gateway.routing import RetainedLimits
from gateway.server import ListenerOptions, ServerOptions
from gateway.session import SessionOptions
from gateway.store import StoreOptions, StreamSpec

STREAM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
RESERVED_STREAMS = ("alerts", "dead-letters", "ticks")
PARTITIONS_MAX = 1_024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One stream of the log, and the topics that it takes."""

    spec: StreamSpec
    topic_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Everything that a gateway is told, checked."""

    data_dir: Path = Path("penstock-data")
    rules_path: Path | None = None
    log_level: str = "info"
    device_topics: tuple[str, ...] = ("+/{device}/#",)
    streams: tuple[StreamConfig, ...] = (StreamConfig(StreamSpec("telemetry"), ("#",)),)
    server: ServerOptions = field(default_factory=ServerOptions)
    linger_ms: int = 0
    tail_bytes_max: int | None = None

    def store_options(self) -> StoreOptions:
        """The store's own options."""
        options = StoreOptions(data_dir=self.data_dir, linger_ms=self.linger_ms)
        if self.tail_bytes_max is not None:
            options = replace(options, tail_bytes_max=self.tail_bytes_max)
        return options


def load_config(path: Path | None) -> GatewayConfig:
    """Read a configuration file; None gives the defaults. Paths in it are relative to its folder.

    Raises:
        DocumentInvalid: carries every error in the file, each with its line and column.
    """
    top = parse_document("", "defaults") if path is None else read_document(path)
    base = Path() if path is None else path.parent
    if top.get("version") is not None and top.integer("version") != 1:
        top.complain("version must be 1; a newer program wrote this file", "version")
    config = GatewayConfig(
        data_dir=_path(top, "data", base) or GatewayConfig().data_dir,
        rules_path=_path(top, "rules", base),
        log_level=top.choice("log_level", ["debug", "info", "warning", "error"], "info"),
        device_topics=_device_topics(top),
        streams=_streams(top),
        server=_server(top),
        **_store(top),
    )
    top.finish()
    top.raise_complaints()
    return config


def _path(top: Section, key: str, base: Path) -> Path | None:
    text = top.text(key)
    return base / text if text else None


def _store(top: Section) -> dict[str, Any]:
    section = top.section("store")
    if section is None:
        return {}
    found: dict[str, Any] = {}
    if "linger" in section:
        found["linger_ms"] = section.duration_ms("linger")
    if "tail_size" in section:
        found["tail_bytes_max"] = section.size_bytes("tail_size", least=1 << 20)
    section.finish("linger", "tail_size")
    return found


def _device_topics(top: Section) -> tuple[str, ...]:
    section = top.section("devices")
    if section is None:
        return GatewayConfig().device_topics
    found = tuple(section.texts("topics", GatewayConfig().device_topics))
    section.finish()
    try:
        DeviceTopics(found)
    except TopicTemplateInvalid as error:
        section.complain(str(error), "topics")
    return found


def _streams(top: Section) -> tuple[StreamConfig, ...]:
    if "streams" not in top:
        return GatewayConfig().streams
    found = [_stream(section) for section in top.sections("streams")]
    names = [stream.spec.name for stream in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        top.complain(f"duplicate stream name '{name}'", "streams")
    if not found:
        top.complain("at least one stream is needed", "streams")
    return tuple(found)


def _stream(section: Section) -> StreamConfig:
    section.require("name", "filters")
    name = section.text("name")
    if name and not STREAM_NAME.fullmatch(name):
        section.complain(f"'{name}' is not a stream name (small letters, digits, - and _)", "name")
    if name in RESERVED_STREAMS:
        section.complain(f"'{name}' is a stream of the gateway itself", "name")
    retention = section.section("retention")
    spec = StreamSpec(
        name,
        partitions=section.integer("partitions", 4, least=1, most=PARTITIONS_MAX),
    )
    if retention is not None:
        spec = _retention(retention, spec)
    filters = tuple(section.texts("filters"))
    for topic_filter in filters:
        try:
            check_topic_filter(topic_filter)
        except MqttError as error:
            section.complain(str(error), "filters")
    section.finish()
    return StreamConfig(spec, filters)


def _retention(section: Section, spec: StreamSpec) -> StreamSpec:
    if "age" in section:
        spec = replace(spec, retention_age_ms=section.duration_ms("age", least=1_000))
    if "size" in section:
        spec = replace(spec, retention_bytes=section.size_bytes("size", least=1 << 16))
    if "count" in section:
        spec = replace(spec, retention_count=section.integer("count", least=1))
    section.finish("age", "size", "count")
    return spec


def _server(top: Section) -> ServerOptions:
    listeners = tuple(_listener(section) for section in top.sections("listen"))
    limits = top.section("limits")
    options = ServerOptions() if limits is None else _limits(limits)
    order = top.choice("shared_subscriptions", ["ordered", "balanced"], options.shared_order)
    options = replace(options, shared_order=order)
    return replace(options, listeners=listeners or options.listeners)


def _listener(section: Section) -> ListenerOptions:
    default = ListenerOptions()
    host = section.text("host", default.host)
    if not is_loopback(host):
        section.complain(
            f"'{host}' is not a loopback address; without credentials the gateway listens on "
            "127.0.0.1 or ::1 only",
            "host",
        )
    port = section.integer("port", default.port, least=0, most=0xFFFF)
    section.finish()
    return ListenerOptions(host, port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# How each limit is written: the name in the file, the field, and how it is read.
Reader = Callable[[Section, str], int]
SESSION_LIMITS: dict[str, tuple[str, Reader]] = {
    "packet_size": ("packet_bytes_max", lambda s, k: s.size_bytes(k, least=1_024)),
    "receive_maximum": ("receive_maximum", lambda s, k: s.integer(k, least=1, most=0xFFFF)),
    "in_flight": ("in_flight_max", lambda s, k: s.integer(k, least=1, most=0xFFFF)),
    "subscriptions": ("subscriptions_max", lambda s, k: s.integer(k, least=1)),
    "topic_levels": ("topic_levels_max", lambda s, k: s.integer(k, least=1, most=1_024)),
    "topic_aliases": ("topic_alias_maximum", lambda s, k: s.integer(k, least=0, most=0xFFFF)),
    "session_expiry": ("session_expiry_ms_max", lambda s, k: s.duration_ms(k)),
}
RETAINED_LIMITS: dict[str, tuple[str, Reader]] = {
    "retained": ("count_max", lambda s, k: s.integer(k, least=0)),
    "retained_size": ("bytes_max", lambda s, k: s.size_bytes(k)),
    "retained_payload_size": ("payload_bytes_max", lambda s, k: s.size_bytes(k)),
}
SERVER_LIMITS: dict[str, tuple[str, Reader]] = {
    "connections": ("connections_max", lambda s, k: s.integer(k, least=1)),
    "sessions": ("sessions_max", lambda s, k: s.integer(k, least=1)),
    "connect_within": ("connect_within_ms", lambda s, k: s.duration_ms(k, least=100)),
    "packet_within": ("packet_within_ms", lambda s, k: s.duration_ms(k, least=100)),
    "uncommitted_size": ("uncommitted_bytes_max", lambda s, k: s.size_bytes(k, least=1 << 16)),
    "outbox_size": ("outbox_bytes_max", lambda s, k: s.size_bytes(k, least=1 << 12)),
    "refuse_after": ("refuse_after_ms", lambda s, k: s.duration_ms(k, least=100)),
}


def _limits(section: Section) -> ServerOptions:
    session = _read(section, SESSION_LIMITS, SessionOptions())
    retained = _read(section, RETAINED_LIMITS, RetainedLimits())
    server = _read(section, SERVER_LIMITS, ServerOptions(session=session, retained=retained))
    section.finish(*SESSION_LIMITS, *RETAINED_LIMITS, *SERVER_LIMITS)
    return server


def _read(section: Section, limits: dict[str, tuple[str, Reader]], default: T) -> T:
    written = {name: read(section, key) for key, (name, read) in limits.items() if key in section}
    known = {one.name for one in fields(default)}  # type: ignore[arg-type] # every T here is a dataclass
    assert known >= set(written)  # noqa: S101 - the two tables above name fields that exist
    return replace(default, **written)  # type: ignore[type-var] # as above
