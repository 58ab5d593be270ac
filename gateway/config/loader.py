"""Reads config/gateway.yaml into each layer's own options; every error says file:line:column.

No default is repeated here: an option that is not written keeps what its layer says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from gateway.config.access import read_access
from gateway.config.claims import read_claim_check
from gateway.config.deriving import DerivedConfig, read_derived
from gateway.config.device_streams import DEVICE_STREAMS
from gateway.config.devices import read_devices
from gateway.config.grouping import read_groups
from gateway.config.handling import read_handlers
from gateway.config.keeping import read_keeping
from gateway.config.listeners import read_listeners
from gateway.config.quotas import read_flapping, read_quota
from gateway.config.storing import read_store
from gateway.config.updates import read_ota
from gateway.devices import OtaOptions
from gateway.documents import Node, Section, open_document, read_text
from gateway.errors import MqttError
from gateway.functions import FunctionSpec
from gateway.mqtt import check_topic_filter
from gateway.server import ServerOptions
from gateway.store import CLAIM_BYTES, DAY_MS, GroupOptions, StoreOptions, StreamSpec, WearOptions

VERSION = 1
LOG_LEVELS = ("debug", "info", "warning", "error")
RULES_STARTS = ("latest", "earliest")
RULES_PLACES = ("auto", "process", "inline")
SHARED_ORDERS = ("ordered", "balanced")
SYS_PREFIX = "$SYS"
SUBSCRIPTION_PREFIXES = ("$share/", "$replay/")
STREAM_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
RESERVED_STREAMS = (
    *("alerts", "alarms", "audit", "dead-letters", "lookups", "presence", "ticks"),
    *(own.spec.name for own in DEVICE_STREAMS),
)
PARTITIONS_MAX = 1_024
SYS_INTERVAL_MS_LEAST = 1_000
DEDUPE_MS_MOST = DAY_MS
# The PUBLISH lane takes packets of up to 16,386 bytes without looking at the limit.
PACKET_BYTES_LEAST = 32 << 10
PACKET_BYTES_MOST = 256 << 20
T = TypeVar("T")


STORE_DEFAULT = StoreOptions(Path("penstock-data"))


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One stream of the log, the topics that it takes, and how large a payload it keeps itself."""

    spec: StreamSpec
    topic_filters: tuple[str, ...]
    claim_bytes: int | None = CLAIM_BYTES
    repeat_window_ms: int | None = None
    """How long a repeated message is known; None: as `limits: repeat_window` says."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Everything that a gateway is told, checked."""

    data_dir: Path = STORE_DEFAULT.data_dir
    rules_path: Path | None = None
    rules_start: str = "latest"
    rules_reload_ms: int = 2_000
    rules_place: str = "auto"
    log_level: str = "info"
    device_topics: tuple[str, ...] = ("+/{device}/#",)
    profiles_path: Path | None = None
    streams: tuple[StreamConfig, ...] = (StreamConfig(StreamSpec("telemetry"), ("#",)),)
    derived: DerivedConfig = field(default_factory=DerivedConfig)
    handlers: tuple[FunctionSpec, ...] = ()
    groups: GroupOptions = field(default_factory=GroupOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    ota: OtaOptions = field(default_factory=OtaOptions)
    linger_ms: int | None = STORE_DEFAULT.linger_ms
    reserve_bytes: int = 16 << 20
    scrub_ms: int | None = 7 * DAY_MS
    wear: WearOptions = field(default_factory=WearOptions)
    tail_bytes_max: int = STORE_DEFAULT.tail_bytes_max
    memory_ms: int = STORE_DEFAULT.memory_ms
    memory_bytes_max: int = STORE_DEFAULT.memory_bytes_max
    wal_bytes_max: int = STORE_DEFAULT.wal_bytes_max

    def store_options(self) -> StoreOptions:
        """The store's own options."""
        # Publishers are paused before the store refuses; and the rules write records, too.
        waiting_bytes_max = 2 * self.server.uncommitted_bytes_max
        return replace(
            STORE_DEFAULT,
            data_dir=self.data_dir,
            linger_ms=self.linger_ms,
            reserve_bytes=self.reserve_bytes,
            tail_bytes_max=self.tail_bytes_max,
            memory_ms=self.memory_ms,
            memory_bytes_max=self.memory_bytes_max,
            wal_bytes_max=self.wal_bytes_max,
            queued_bytes_max=max(STORE_DEFAULT.queued_bytes_max, waiting_bytes_max),
        )


def load_config(path: Path | None) -> GatewayConfig:
    """Read a configuration file; None gives the defaults. Paths in it are relative to its folder.

    Raises:
        DocumentInvalid: carries every error in the file, each with its line and column.
    """
    default = GatewayConfig()
    if path is None:
        return default
    top = open_document(read_text(path, str(path)), str(path))
    if top.integer("version", VERSION) != VERSION:
        top.complain(f"version must be {VERSION}; a newer program wrote this file", "version")
    config = replace(
        default,
        data_dir=_path(top, "data", path.parent) or default.data_dir,
        rules_path=_path(top, "rules", path.parent),
        rules_start=top.choice("rules_start", RULES_STARTS, default.rules_start),
        rules_reload_ms=top.duration_ms("rules_reload", default.rules_reload_ms),
        rules_place=top.choice("rules_place", RULES_PLACES, default.rules_place),
        log_level=top.choice("log_level", LOG_LEVELS, default.log_level),
        streams=_streams(top, default.streams),
        derived=read_derived(top),
        handlers=read_handlers(top, path.parent),
        groups=read_groups(top),
        server=_server(top, path.parent, default.server),
        ota=read_ota(top, default.ota),
        **read_store(top),
        **read_devices(top, path.parent),
    )
    top.finish()
    top.raise_complaints()
    return _with_repeat_windows(config)


def _with_repeat_windows(config: GatewayConfig) -> GatewayConfig:
    """Tell the server which streams have a window of their own for repeated messages."""
    windows_ms = {
        own.spec.name: own.repeat_window_ms
        for own in config.streams
        if own.repeat_window_ms is not None
    }
    return replace(config, server=replace(config.server, repeat_windows_ms=windows_ms))


def _path(top: Section, key: str, base: Path) -> Path | None:
    if top.get(key) is None:
        return None
    text = top.text(key, ".")
    if not text or "\0" in text:
        top.complain(f"'{key}' must be a path", key)
    return base / text


def _streams(top: Section, default: tuple[StreamConfig, ...]) -> tuple[StreamConfig, ...]:
    node = top.get("streams")
    if node is None:
        return default
    if node.value == []:
        top.complain("at least one stream is needed", "streams")
    found: dict[str, StreamConfig] = {}
    for section in top.sections("streams"):
        stream = _stream(section)
        name = stream.spec.name
        if name in found:
            section.complain(f"duplicate stream name '{name}'", "name")
        if name:
            found[name] = stream
    return tuple(found.values())


def _stream(section: Section) -> StreamConfig:
    section.require("name", "filters")
    name = section.text("name")
    spec = StreamSpec(name)
    if "name" in section:
        _check_stream_name(section, name)
    spec = replace(
        spec,
        partitions=section.integer("partitions", spec.partitions, least=1, most=PARTITIONS_MAX),
        **read_keeping(section, spec),
    )
    nodes = section.text_nodes("filters")
    for node in nodes:
        _check_filter(section, node)
    claim_bytes = read_claim_check(section)
    window_ms = section.duration_ms("dedupe", most=DEDUPE_MS_MOST) if "dedupe" in section else None
    section.finish("claim_check")
    return StreamConfig(spec, tuple(node.source for node in nodes), claim_bytes, window_ms)


def _check_stream_name(section: Section, name: str) -> None:
    node = section.get("name")
    if node is not None and node.is_text and not STREAM_NAME.fullmatch(name):
        section.complain(f"'{name}' is not a stream name (small letters, digits, - and _)", "name")
    if name in RESERVED_STREAMS:
        section.complain(f"'{name}' is a stream of the gateway itself", "name")


def _check_filter(section: Section, node: Node) -> None:
    if node.source.startswith(SYS_PREFIX):
        section.complain_at(node, "topics of '$SYS' are the gateway's own and not stored")
    if node.source.startswith(SUBSCRIPTION_PREFIXES):
        section.complain_at(
            node, f"'{node.source}' is a subscription; a stream takes plain filters"
        )
        return
    try:
        check_topic_filter(node.source)
    except MqttError as error:
        section.complain_at(node, str(error))


def _server(top: Section, base: Path, default: ServerOptions) -> ServerOptions:
    limits = top.section("limits")
    options = default if limits is None else _limits(limits, default)
    order = top.choice("shared_subscriptions", SHARED_ORDERS, default.shared_order)
    access = read_access(top, default.access)
    listeners = read_listeners(top, base, are_credentials_required=access.are_required)
    interval_ms = top.duration_ms("sys_interval", default.sys_interval_ms)
    if 0 < interval_ms < SYS_INTERVAL_MS_LEAST:
        top.complain("'sys_interval' is 1s at least, or 0s for no $SYS topics", "sys_interval")
    return replace(
        options,
        shared_order=order,
        listeners=listeners or default.listeners,
        access=access,
        sys_interval_ms=interval_ms,
    )


# How each limit is written: the name in the file, the field, and how it is read.
Reader = Callable[[Section, str], int]
SESSION_LIMITS: dict[str, tuple[str, Reader]] = {
    "packet_size": (
        "packet_bytes_max",
        lambda s, k: s.size_bytes(k, least=PACKET_BYTES_LEAST, most=PACKET_BYTES_MOST),
    ),
    "receive_maximum": ("receive_maximum", lambda s, k: s.integer(k, least=1, most=0xFFFF)),
    "in_flight": ("in_flight_max", lambda s, k: s.integer(k, least=1, most=0xFFFF)),
    "subscriptions": ("subscriptions_max", lambda s, k: s.integer(k, least=1)),
    "topic_levels": ("topic_levels_max", lambda s, k: s.integer(k, least=1, most=500)),
    "topic_aliases": ("topic_alias_maximum", lambda s, k: s.integer(k, least=0, most=0xFFFF)),
    "keep_alive": (
        "keep_alive_s_max",
        lambda s, k: s.duration_ms(k, least=1_000, most=65_535_000) // 1_000,
    ),
    "session_expiry": ("session_expiry_ms_max", lambda s, k: s.duration_ms(k)),
}
RETAINED_LIMITS: dict[str, tuple[str, Reader]] = {
    "retained": ("count_max", lambda s, k: s.integer(k, least=0)),
    "retained_size": ("bytes_max", lambda s, k: s.size_bytes(k)),
    "retained_payload_size": ("payload_bytes_max", lambda s, k: s.size_bytes(k)),
}
SERVER_LIMITS: dict[str, tuple[str, Reader]] = {
    "connections": ("connections_max", lambda s, k: s.integer(k, least=1)),
    "connections_per_address": (
        "connections_per_address_max",
        lambda s, k: s.integer(k, least=0),
    ),
    "connect_rate": ("connects_per_s_max", lambda s, k: s.integer(k, least=1)),
    "handshakes": ("handshakes_max", lambda s, k: s.integer(k, least=1)),
    "sessions": ("sessions_max", lambda s, k: s.integer(k, least=1)),
    "connect_within": ("connect_within_ms", lambda s, k: s.duration_ms(k, least=100)),
    "packet_within": ("packet_within_ms", lambda s, k: s.duration_ms(k, least=100)),
    "uncommitted_size": ("uncommitted_bytes_max", lambda s, k: s.size_bytes(k, least=1 << 16)),
    "outbox_size": ("outbox_bytes_max", lambda s, k: s.size_bytes(k, least=1 << 12)),
    "repeat_window": ("repeat_window_ms", lambda s, k: s.duration_ms(k)),
    "refuse_after": ("refuse_after_ms", lambda s, k: s.duration_ms(k, least=100)),
}


def _limits(section: Section, default: ServerOptions) -> ServerOptions:
    session = _read(section, SESSION_LIMITS, default.session)
    retained = _read(section, RETAINED_LIMITS, default.retained)
    server = _read(section, SERVER_LIMITS, default)
    quota = read_quota(section, default.quota)
    flapping = read_flapping(section, default.flapping)
    section.finish(*SESSION_LIMITS, *RETAINED_LIMITS, *SERVER_LIMITS)
    return replace(server, session=session, retained=retained, quota=quota, flapping=flapping)


def _read(section: Section, limits: dict[str, tuple[str, Reader]], default: T) -> T:
    written = {name: read(section, key) for key, (name, read) in limits.items() if key in section}
    known = {one.name for one in fields(default)}  # type: ignore[arg-type] # every T here is a dataclass
    assert known >= set(written)  # noqa: S101 - the two tables above name fields that exist
    return replace(default, **written)  # type: ignore[type-var] # as above
