import pytest

from gateway.rules.spec import SuppressSpec
from tests.harness.rule_files import complaints, load_one


def test_an_alarm_is_read():
    alarm = load_one(
        """
        - id: a
          from: t
          when: payload.x > 1
          alarm:
            levels:
              - {severity: minor, when: payload.x > 1}
              - {severity: critical, when: payload.x > 5, for: 1m}
            message: "{rule} {severity}: {payload.x:.1f}"
            auto_clear: 10m
            latch: true
            labels: {site: west, floor: 3}
            active_max: 5
        """
    ).alarm
    assert [(level.severity, level.for_ms) for level in alarm.levels] == [
        ("minor", 0),
        ("critical", 60_000),
    ]
    assert (
        alarm.message.render({"rule": "a", "severity": "minor", "payload": {"x": 2}})
        == "a minor: 2.0"
    )
    assert (alarm.auto_clear_ms, alarm.latch, alarm.active_max) == (600_000, True, 5)
    assert alarm.labels == {"site": "west", "floor": "3"}


def test_a_detector_without_an_action_raises_a_plain_alarm():
    assert load_one("- {id: a, from: t, when: true}").alarm.severity == "warning"
    assert load_one("- {id: a, from: t, when: true, emit: {stream: s}}").alarm is None


@pytest.mark.parametrize(
    ("alarm", "message"),
    [
        ("severity: mayor", "'mayor' is not one of"),
        ("levels: [{severity: minor}]", "missing key 'when'"),
        (
            "levels: [{severity: minor, when: true}, {severity: minor, when: true}]",
            "duplicate level",
        ),
        ("message: '{payload.x'", "in 'message': a '{' without its '}'"),
        (f"message: {'x' * 600}", "a message has at most 512 characters"),
        ("message: [x]", "in 'message': must be a text"),
        ("labels: [x]", "'labels' must be a mapping"),
        ("active_max: 0", "'active_max' is 0"),
    ],
)
def test_mistakes_in_an_alarm_are_named(alarm, message):
    (found,) = complaints(f"- {{id: a, from: t, when: true, alarm: {{{alarm}}}}}")
    assert message in found


def test_messages_to_publish_are_read():
    one, two = load_one(
        """
        - id: a
          from: t
          when: true
          publish:
            - {topic: "alarms/{device}/{rule}", qos: 1, retain: true, on: [raised, changed]}
            - topic: log
              on: cleared
              payload: {text: "{message}", count: 5, flag: true, none: null, list: ["{ts}", 2.5]}
        """
    ).publish
    assert one.topic.render_topic({"device": "d", "rule": "a"}) == "alarms/d/a"
    assert (one.qos, one.retain, one.on, one.payload) == (1, True, {"raised", "changed"}, None)
    payload = {name: part for name, part in two.payload.items() if name != "list"}
    scope = {"message": "hot", "ts": 7}
    found = {name: part.value(scope) for name, part in payload.items()}
    assert found == {"text": "hot", "count": 5, "flag": True, "none": None}
    assert [part.value(scope) for part in two.payload["list"]] == [7, 2.5]


def test_raised_and_cleared_are_published_unless_told_otherwise():
    (publish,) = load_one("- {id: a, from: t, when: true, publish: {topic: x}}").publish
    assert (publish.on, publish.qos, publish.retain) == ({"raised", "cleared"}, 0, False)


@pytest.mark.parametrize(
    ("publish", "message"),
    [
        ("{qos: 1}", "missing key 'topic'"),
        ("{topic: ''}", "the topic is empty"),
        ("{topic: a/+/b}", "a topic to publish to has no wildcards"),
        ("{topic: 'a/#'}", "a topic to publish to has no wildcards"),
        ("{topic: $SYS/x}", "topics that begin with $ are the gateway's own"),
        ("{topic: x, qos: 3}", "'qos' is 3"),
        ("{topic: x, on: rised}", "unknown moment 'rised', did you mean 'raised'?"),
        ("{topic: x, payload: {a: '{nobody}'}}", "in 'payload': unknown name 'nobody'"),
        ("{topic: 'x/{devise}'}", "in 'topic': unknown name 'devise', did you mean 'device'?"),
        ("[5]", "'publish' must be a mapping"),
        ("[" + "{topic: x}, " * 17 + "]", "'publish' has more than 16 entries"),
    ],
)
def test_mistakes_in_a_message_to_publish_are_named(publish, message):
    (found,) = complaints(f"- {{id: a, from: t, when: true, publish: {publish}}}")
    assert message in found


def test_derived_streams_are_read():
    emit = load_one(
        "- {id: a, from: t, window: {tumbling: 1m}, aggregate: {n: count()}, "
        "emit: {stream: best, fields: {x: payload.x * 2}, "
        "rank: {by: payload.x, take: 3, order: asc, per: device}}}"
    ).emit
    assert (emit.stream, emit.on) == ("best", "window")
    assert emit.fields["x"].evaluate({"payload": {"x": 4}}) == 8
    assert (emit.rank.by.text, emit.rank.take, emit.rank.order, emit.rank.per.text) == (
        "payload.x",
        3,
        "asc",
        "device",
    )


@pytest.mark.parametrize(
    ("rule", "moment"),
    [
        ("emit: {stream: s}", "event"),
        ("window: {tumbling: 1m}, aggregate: {n: count()}, emit: {stream: s}", "window"),
        (
            "window: {tumbling: 1m}, aggregate: {n: count()}, when: n > 1, emit: {stream: s}",
            "match",
        ),
        ("when: payload.x, emit: {stream: s}", "match"),
        ("when: payload.x, emit: {stream: s, on: event}", "event"),
    ],
)
def test_the_moment_of_emitting_follows_from_the_rule(rule, moment):
    assert load_one(f"- {{id: a, from: t, {rule}}}").emit.on == moment


@pytest.mark.parametrize(
    ("emit", "message"),
    [
        ("{}", "missing key 'stream'"),
        ("{stream: Best}", "'Best' is not an id"),
        ("{stream: s, on: window}", "'on: window' needs a 'window'"),
        ("{stream: s, fields: {x: nobody}}", "in 'fields.x': unknown name 'nobody'"),
        ("{stream: s, rank: {by: ts, take: 1}}", "'rank' compares what keys emit at the end of a"),
        (
            "{stream: s, fields: {" + ", ".join(f"f{n}: ts" for n in range(101)) + "}}",
            "'fields' has more than 100 entries",
        ),
    ],
)
def test_mistakes_in_a_derived_stream_are_named(emit, message):
    (found,) = complaints(f"- {{id: a, from: t, emit: {emit}}}")
    assert message in found


def test_suppression_is_read():
    rule = load_one(
        "- {id: a, from: t, when: true, "
        "suppress: {cooldown: 15m, by: device, limit: 20/h, remind: 1h}}"
    )
    suppress = rule.suppress
    assert (suppress.cooldown_ms, suppress.limit_count, suppress.limit_window_ms) == (
        900_000,
        20,
        3_600_000,
    )
    assert ([expression.text for expression in suppress.by], suppress.remind_ms) == (
        ["device"],
        3_600_000,
    )
    assert load_one("- {id: a, from: t, when: true}").suppress == SuppressSpec()


@pytest.mark.parametrize("limit", ["20", "0/h", "20/w", "x/h", "-1/s"])
def test_a_limit_is_a_count_a_span(limit):
    (found,) = complaints(f"- {{id: a, from: t, when: true, suppress: {{limit: {limit}}}}}")
    assert f"'{limit}' is not a limit (write 20/h, 5/m, 1/s, 100/d)" in found


def test_parents_are_rule_ids():
    (found,) = complaints("- {id: a, from: t, when: true, suppress: {while_active: [A b]}}")
    assert "'A b' is not a rule id" in found


def test_a_limit_is_bounded_because_each_notification_in_it_is_remembered():
    found = complaints("- {id: a, from: t, when: true, suppress: {limit: 10001/d}}")
    assert any("at most 10000" in str(complaint) for complaint in found)
