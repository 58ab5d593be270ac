from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from gateway.config import GatewayConfig, StreamConfig, is_loopback, load_config
from gateway.config.loader import RETAINED_LIMITS, SERVER_LIMITS, SESSION_LIMITS
from gateway.errors import DocumentInvalid
from gateway.mqtt import PublishColumns, split_publishes
from gateway.server import ListenerOptions, ServerOptions
from gateway.store import StoreOptions, StreamSpec

SHIPPED = Path(__file__).parents[3] / "config" / "gateway.yaml"
LIMITS = {**SESSION_LIMITS, **RETAINED_LIMITS, **SERVER_LIMITS}


@pytest.fixture
def load(tmp_path):
    """Load a configuration from its text."""

    def read(text):
        path = tmp_path / "gateway.yaml"
        path.write_text(text)
        return load_config(path)

    return read


@pytest.fixture
def complaints(load, tmp_path):
    """What is wrong with a text: `line:column: message` each."""

    def read(text):
        with pytest.raises(DocumentInvalid) as caught:
            load(text)
        return [
            line.removeprefix(f"{tmp_path}/gateway.yaml:")
            for line in str(caught.value).splitlines()
        ]

    return read


# Defaults


def test_without_a_file_every_layer_has_its_own_defaults():
    config = load_config(None)
    assert config == GatewayConfig()
    assert (config.server, config.data_dir) == (ServerOptions(), Path("penstock-data"))
    assert config.streams == (StreamConfig(StreamSpec("telemetry", partitions=4), ("#",)),)


@pytest.mark.parametrize("text", ["", "version: 1", "limits: {}\nstore: {}\ndevices: {}"])
def test_what_is_not_written_keeps_its_default(load, text):
    assert load(text) == GatewayConfig()


def test_the_shipped_file_says_the_defaults():
    shipped = load_config(SHIPPED)
    assert shipped.rules_path == SHIPPED.parent / "../rules"
    assert shipped.data_dir == SHIPPED.parent / "../penstock-data"
    default = GatewayConfig()
    assert shipped.profiles_path == SHIPPED.parent / "../devices"
    same = replace(shipped, data_dir=default.data_dir, rules_path=None, profiles_path=None)
    assert same == default
    assert shipped.tail_bytes_max == StoreOptions(Path()).tail_bytes_max


def test_the_shipped_file_shows_every_setting(complaints):
    written = yaml.safe_load(SHIPPED.read_text())
    (stream,) = written["streams"]
    for section, prefix, suffix in [
        (written, "", ""),
        (written["limits"], "limits: {", "}"),
        (written["store"], "store: {", "}"),
        (written["devices"], "devices: {", "}"),
        (written["access"], "access: {", "}"),
        (stream, "streams: [{name: a, filters: b, ", "}]"),
    ]:
        (complaint,) = complaints(f"{prefix}zzz: 1{suffix}")
        known = set(complaint.rpartition("known here: ")[2].split(", "))
        assert known == set(section), prefix


def test_every_limit_in_the_file_is_a_field_of_the_options():
    default = ServerOptions()
    for table, options in (
        (SESSION_LIMITS, default.session),
        (RETAINED_LIMITS, default.retained),
        (SERVER_LIMITS, default),
    ):
        assert {name for name, _ in table.values()} <= {one.name for one in fields(options)}


# What is written


def test_every_part_reaches_its_layer(load, tmp_path):
    config = load(
        """
version: 1
data: log
rules: /etc/rules
log_level: warning
listen: [{host: "::1", port: 0}, {port: 1884}]
devices: {topics: ["{device}/#", "x/{device}"]}
streams:
  - name: power
    filters: "+/meter/#"
    partitions: 2
    retention: {age: 1h30m, size: 1GiB, count: 5}
  - {name: rest, filters: ["#", "$own/#"]}
store: {linger: 5ms, tail_size: 1MiB}
shared_subscriptions: balanced
limits: {connections: 5, receive_maximum: 7, packet_size: 32KiB, refuse_after: 1s, retained: 0}
"""
    )
    assert config.data_dir == tmp_path / "log"
    assert config.rules_path == Path("/etc/rules")
    assert config.log_level == "warning"
    assert config.server.listeners == (ListenerOptions("::1", 0), ListenerOptions(port=1884))
    assert config.device_topics == ("{device}/#", "x/{device}")
    power, rest = config.streams
    assert power == StreamConfig(
        StreamSpec(
            "power",
            partitions=2,
            retention_age_ms=5_400_000,
            retention_bytes=1 << 30,
            retention_count=5,
        ),
        ("+/meter/#",),
    )
    assert rest == StreamConfig(StreamSpec("rest"), ("#", "$own/#"))
    assert (config.linger_ms, config.tail_bytes_max) == (5, 1 << 20)
    server = config.server
    assert (server.connections_max, server.refuse_after_ms, server.shared_order) == (
        5,
        1_000,
        "balanced",
    )
    assert (server.session.receive_maximum, server.session.packet_bytes_max) == (7, 32_768)
    assert server.retained.count_max == 0


@pytest.mark.parametrize("key", LIMITS)
def test_each_limit_changes_its_own_field_alone(load, key):
    default = ServerOptions()
    name, _ = LIMITS[key]
    options = default
    if key in SESSION_LIMITS:
        options = default.session
    elif key in RETAINED_LIMITS:
        options = default.retained
    value = getattr(options, name)
    unit = "ms" if name.endswith(("_ms", "_ms_max")) else "s" if name == "keep_alive_s_max" else ""
    text = f"{value}{unit}"
    assert load(f"limits: {{{key}: {text}}}").server == default
    other = value - 1 if value else 1
    changed_text = text.replace(str(value), str(other))
    changed = replace(options, **{name: other})
    if key in SESSION_LIMITS:
        changed = replace(default, session=changed)
    elif key in RETAINED_LIMITS:
        changed = replace(default, retained=changed)
    assert load(f"limits: {{{key}: {changed_text}}}").server == changed


def test_the_store_gets_its_own_options(load):
    config = load("data: log\nstore: {linger: 5ms}")
    options = config.store_options()
    default = StoreOptions(config.data_dir)
    assert options == replace(default, linger_ms=5, reserve_bytes=config.reserve_bytes)
    assert load("store: {tail_size: 2MiB}").store_options().tail_bytes_max == 2 << 20


def test_the_store_takes_more_than_publishers_may_send_before_they_are_paused(load):
    options = load("limits: {uncommitted_size: 1GiB}").store_options()
    assert options.queued_bytes_max > 1 << 30


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound here
        ("::", False),
        ("192.168.1.5", False),
        ("gateway.local", False),
        ("", False),
    ],
)
def test_only_this_machine_can_reach_a_loopback_address(host, expected):
    assert is_loopback(host) is expected


def test_no_packet_that_the_lane_takes_is_above_the_least_limit(complaints):
    (line,) = complaints("limits: {packet_size: 1KiB}")
    assert line == (
        "1:23: 'packet_size' is 1KiB; it must be at least 32768 bytes and at most 268435456 bytes"
    )
    packet = b"\x30\xff\x7f\x00\x01t" + b"x" * (0x3FFF - 3)
    assert split_publishes(packet, 0, PublishColumns(), is_v5=False) == len(packet) < 32_768


# What is wrong


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: 2", "1:10: version must be 1; a newer program wrote this file"),
        ("version: one", "1:10: 'one' is not a whole number"),
        ("data: [a]", "1:7: 'data' must be text"),
        ("data: ''", "1:7: 'data' must be a path"),
        ("data: ", "1:6: 'data' must be text"),
        ('rules: "a\\0b"', "1:8: 'rules' must be a path"),
        (
            "log_level: warn",
            "1:12: 'warn' is not one of debug, info, warning, error, did you mean 'warning'?",
        ),
        ("lissten: []", "1:1: unknown key 'lissten', did you mean 'listen'?"),
        ("listen: []", "1:9: at least one address is needed"),
        ("listen: {port: 1}", "1:9: 'listen' must be a list"),
        ("listen: [1883]", "1:10: 'listen' must be a mapping of keys to values"),
        (
            "listen: [{port: 65536}]",
            "1:17: 'port' is 65536; it must be at least 0 and at most 65535",
        ),
        ("listen: [{port: abc}]", "1:17: 'abc' is not a whole number"),
        ("listen: [{prot: 1}]", "1:11: unknown key 'prot', did you mean 'port'?"),
        ("devices: [a]", "1:10: 'devices' must be a mapping of keys to values"),
        ("devices: {topic: a}", "1:11: unknown key 'topic', did you mean 'topics'?"),
        (
            "devices: {topics: ['{device}', 'a/+']}",
            "1:32: 'a/+' names no device; write {device} for one level",
        ),
        ("streams: []", "1:10: at least one stream is needed"),
        ("streams: telemetry", "1:10: 'streams' must be a list"),
        ("streams:", "1:9: 'streams' must be a list"),
        ("streams: [{name: a}]", "1:11: missing key 'filters'"),
        ("streams: [{filters: a}]", "1:11: missing key 'name'"),
        (
            "streams: [{name: '', filters: a}]",
            "1:18: '' is not a stream name (small letters, digits, - and _)",
        ),
        (
            "streams: [{name: A b, filters: a}]",
            "1:18: 'A b' is not a stream name (small letters, digits, - and _)",
        ),
        ("streams: [{name: [a], filters: a}]", "1:18: 'name' must be text"),
        (
            "streams: [{name: alerts, filters: a}]",
            "1:18: 'alerts' is a stream of the gateway itself",
        ),
        (
            "streams: [{name: a, filters: a}, {name: a, filters: b}]",
            "1:41: duplicate stream name 'a'",
        ),
        ("streams: [{name: a, filters: [a, b/#/c]}]", "1:34: 'b/#/c': # must be the last level"),
        ("streams: [{name: a, filters: [a, ~]}]", "1:34: 'filters' must be a list of texts"),
        (
            "streams: [{name: a, filters: $share/g/a}]",
            "1:30: '$share/g/a' is a subscription; a stream takes plain filters",
        ),
        (
            "streams: [{name: a, filters: a, partitions: 0}]",
            "1:45: 'partitions' is 0; it must be at least 1 and at most 1024",
        ),
        (
            "streams: [{name: a, filters: a, retention: {age: 7days}}]",
            "1:50: '7days' is not a duration (write 30s, 5m, 1h30m, 7d)",
        ),
        (
            "streams: [{name: a, filters: a, retention: {age: 1ms}}]",
            "1:50: 'age' is 1ms; it must be at least 1000 ms",
        ),
        (
            "streams: [{name: a, filters: a, retention: {sise: 1GiB}}]",
            "1:45: unknown key 'sise', did you mean 'size'?",
        ),
        ("store: {linger: 1h}", "1:17: 'linger' is 1h; it must be at most 10000 ms"),
        ("store: {tail: 1}", "1:9: unknown key 'tail', did you mean 'tail_size'?"),
        (
            "shared_subscriptions: order",
            "1:23: 'order' is not one of ordered, balanced, did you mean 'ordered'?",
        ),
        ("limits: {conections: 5}", "1:10: unknown key 'conections', did you mean 'connections'?"),
        ("limits: {connections: 5.5}", "1:23: '5.5' is not a whole number"),
        ("limits: {connections: 0}", "1:23: 'connections' is 0; it must be at least 1"),
        (
            "limits: {receive_maximum: 65536}",
            "1:27: 'receive_maximum' is 65536; it must be at least 1 and at most 65535",
        ),
        ("a: &x 1", "1:4: anchors such as &x are not allowed"),
        ("- a", "1:1: expected a mapping of keys to values"),
        ("a: b: c", "1:5: not YAML: mapping values are not allowed in this context"),
    ],
)
def test_an_error_says_where_it_is_and_what_would_be_right(complaints, text, complaint):
    if text == "a: &x 1":
        assert complaints(text)[1] == complaint
    else:
        assert complaints(text) == [complaint]


def test_every_error_of_a_file_is_told_at_once_in_its_order(complaints):
    found = complaints(
        "version: 2\n"
        "log_level: loud\n"
        "streams:\n"
        "  - {name: a, filters: a+, partitions: many}\n"
        "  - {name: a, filters: b, name: c}\n"
        "limits: {connect_within: 10, sesions: 1}\n"
        "log_level: info\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "1:10",
        "2:12",
        "4:24",
        "4:40",
        "5:12",
        "5:27",
        "6:26",
        "6:30",
        "7:1",
    ]


def test_a_file_that_is_not_there_is_one_error(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(DocumentInvalid) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}:1:1: can't be read: No such file or directory"


def test_a_stream_may_know_repeats_for_longer_than_others(load, complaints):
    text = "streams: [{name: a, filters: ['a/#'], dedupe: 1h}, {name: b, filters: ['#']}]"
    assert load(text).server.repeat_windows_ms == {"a": 3_600_000}
    assert "dedupe" in complaints("streams: [{name: a, filters: ['#'], dedupe: 2d}]")[0]


def test_rules_run_where_the_configuration_puts_them(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text("version: 1\nrules_place: inline\n")
    assert load_config(path).rules_place == "inline"
    path.write_text("version: 1\nrules_place: proces\n")
    with pytest.raises(DocumentInvalid, match="did you mean 'process'"):
        load_config(path)
