import pytest

from gateway.errors import DocumentInvalid
from gateway.rules.loader import parse_rules
from gateway.rules.spec import StateSpec, TimeSpec
from tests.harness.rule_files import complaints, load_one, rule_file

WINDOWED = "aggregate: {x: avg(payload.x)}, when: x > 1"


def windowed(window):
    return f"- {{id: a, from: t, window: {{{window}}}, {WINDOWED}}}"


@pytest.mark.parametrize(
    ("window", "found"),
    [
        ("sliding: 5m, min_samples: 10", ("sliding", 300_000, 0, 10)),
        ("tumbling: 1m", ("tumbling", 60_000, 60_000, 1)),
        ("hopping: 10m, every: 1m", ("hopping", 600_000, 60_000, 1)),
        ("session: 90s, max: 2h", ("session", 90_000, 0, 1)),
        ("count: 20, every: 5", ("count", 0, 0, 1)),
    ],
)
def test_each_kind_of_window_is_read(window, found):
    spec = load_one(windowed(window)).window
    assert (spec.kind, spec.size_ms, spec.every_ms, spec.min_samples) == found


def test_the_parts_of_session_and_count_windows():
    assert load_one(windowed("session: 90s, max: 2h")).window.max_ms == 7_200_000
    spec = load_one(windowed("count: 20, every: 5")).window
    assert (spec.count, spec.every_count) == (20, 5)


def test_a_day_window_may_follow_a_time_zone():
    spec = load_one(windowed("tumbling: 1d, timezone: Europe/Kyiv, offset: 6h")).window
    assert (spec.timezone, spec.offset_ms) == ("Europe/Kyiv", 21_600_000)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("min_samples: 3", "'window' needs one of sliding, tumbling, hopping, session, count"),
        ("sliding: 5m, tumbling: 1m", "'window' has sliding and tumbling; write one of them"),
        ("sliding: 5m, every: 1m", "'every' has no meaning in a sliding window"),
        ("tumbling: 5m, max: 1m", "'max' has no meaning in a tumbling window"),
        ("sliding: 0s", "'sliding' is 0s; it must be at least"),
        ("sliding: 400d", "'sliding' must be at most 366d"),
        ("hopping: 5m", "missing key 'every'"),
        ("hopping: 5m, every: 6m", "'every' is longer than the window"),
        ("hopping: 5d, every: 1ms", "cuts the window into more than 10000 parts"),
        ("session: 5m", "missing key 'max'"),
        ("session: 5m, max: 1m", "'max' is 1m; it must be at least"),
        ("count: 5, every: 6", "'every' is 6; it must be at least 1 and at most 5"),
        ("count: 1000000", "'count' is 1000000"),
        ("tumbling: 1h, timezone: UTC", "'timezone' is for tumbling and hopping windows of whole"),
        (
            "hopping: 1d, every: 1h, timezone: UTC",
            "'timezone' is for tumbling and hopping windows of whole",
        ),
        ("tumbling: 1d, timezone: Mars/Olympus", "unknown time zone 'Mars/Olympus'"),
        ("sliding: 5m, min_samples: 0", "'min_samples' is 0"),
    ],
)
def test_each_mistake_in_a_window_is_named_once(window, message):
    found = complaints(windowed(window))
    assert len(found) == 1, found
    assert message in found[0]


def test_time_is_arrival_unless_a_field_is_named():
    rule = load_one("- {id: a, from: t, when: true}")
    assert rule.time == TimeSpec()
    rule = load_one("- {id: a, from: t, when: true, time: {field: payload.ts, late: 2m}}")
    assert (rule.time.by, rule.time.field.text, rule.time.late_ms) == (
        "event",
        "payload.ts",
        120_000,
    )


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("by: event", "'time' by event needs 'field'"),
        ("by: device", "'device' is not one of"),
        ("field: key", "unknown name 'key'"),
        ("late: soon", "'soon' is not a duration"),
    ],
)
def test_mistakes_in_time_are_named(time, message):
    (found,) = complaints(f"- {{id: a, from: t, when: true, time: {{{time}}}}}")
    assert message in found


def test_state_has_limits_by_default():
    assert load_one("- {id: a, from: t, when: true}").state == StateSpec()
    rule = load_one(
        "- {id: a, from: t, when: true, state: {ttl: 1h, max_keys: 5, max_partials: 2}}"
    )
    assert rule.state == StateSpec(3_600_000, 5, 2)
    (found,) = complaints("- {id: a, from: t, when: true, state: {max_keys: 0}}")
    assert "'max_keys' is 0" in found


def test_lets_see_those_before_them():
    rule = load_one("- {id: a, from: t, let: {x: payload.a + 1, y: x * 2}, when: y > 1}")
    assert [let.name for let in rule.let] == ["x", "y"]
    (found,) = complaints("- {id: a, from: t, let: {y: x * 2, x: payload.a + 1}, when: y > 1}")
    assert "in 'let.y': unknown name 'x'" in found


@pytest.mark.parametrize(
    ("let", "message"),
    [
        ("{payload: 1}", "'payload' already has a meaning"),
        ("{Temp: 1}", "'Temp' is not a name"),
        ("{severity: 1}", "'severity' already has a meaning"),
    ],
)
def test_names_must_be_new_and_plain(let, message):
    found = complaints(f"- {{id: a, from: t, let: {let}, when: true}}")
    assert message in found[0]


def test_a_name_may_be_that_of_a_function():
    rule = load_one(
        """
        - id: a
          from: t
          window: {sliding: 1m}
          aggregate: {avg: avg(payload.x), size: count(), max: max(payload.x)}
          when: avg < 65 && size > 3 && max(avg, max) > size(payload.s)
        """
    )
    scope = {"avg": 5.0, "size": 4, "max": 9.0, "payload": {"s": "abc"}}
    assert rule.condition.when.evaluate(scope) is True


def test_a_name_may_stand_once_in_a_rule():
    (found,) = complaints(
        "- {id: a, from: t, let: {x: payload.x}, window: {sliding: 1m}, "
        "aggregate: {x: count()}, when: x > 1}"
    )
    assert "duplicate name 'x' in this rule" in found


def test_a_name_whose_aggregate_is_wrong_is_known_all_the_same():
    (found,) = complaints(
        "- {id: a, from: t, window: {sliding: 1m}, aggregate: {x: avgg(payload.x)}, when: x > 1}"
    )
    assert found.startswith("1:58: in 'aggregate.x': unknown aggregate 'avgg', did you mean 'avg'?")


def test_joined_events_have_names():
    rule = load_one(
        """
        - id: a
          from: t/+/room
          join: {with: {hvac: t/+/hvac}, within: 2m, on: hvac.payload.room == key, type: latest}
          let: {over: payload.temperature - hvac.payload.setpoint}
          when: over > 3
        """
    )  # fmt: skip
    assert rule.join.sources["hvac"].name == "t/+/hvac"
    assert (rule.join.within_ms, rule.join.type) == (120_000, "latest")


def test_look_ups_are_written_with_brackets():
    found = complaints("- {id: a, from: t, enrich: {asset: assets.device}, when: true}")
    assert "'assets.device' is no look-up; write lookup[device]" in found[0]
    found = complaints("- {id: a, from: t, enrich: {asset: 'assets[devise]'}, when: true}")
    assert "unknown lookup 'assets'; none is defined" in found[0]
    assert "in 'enrich.asset': unknown name 'devise', did you mean 'device'?" in found[1]
    assert found[1].startswith("1:43:")


def test_a_join_needs_sources():
    (found,) = complaints("- {id: a, from: t, join: {with: {}, within: 1m}, when: true}")
    assert "'with' names no source" in found
    (found,) = complaints("- {id: a, from: t, join: {with: {o: a/#/b}, within: 1m}, when: true}")
    assert "'a/#/b' is not a topic filter" in found


def test_aggregates_are_calls():
    (found,) = complaints("- {id: a, from: t, window: {sliding: 1m}, aggregate: {}, when: true}")
    assert "'aggregate' is empty" in found
    (found,) = complaints(
        "- {id: a, from: t, window: {sliding: 1m}, aggregate: {x: [1]}, when: true}"
    )
    assert "'aggregate.x' must be a call" in found


def test_what_an_engine_lacks_is_refused_in_every_block():
    rule = (
        "- {id: a, from: t, window: {sliding: 1m}, when: x > 1, time: {watermark: partition, "
        "late_policy: drop}, aggregate: {x: 'median(prev.payload.x, sketch)'}}"
    )
    with pytest.raises(DocumentInvalid) as caught:
        parse_rules(rule_file(rule), "r.yaml", frozenset())
    found = {complaint.message.split("'")[1] for complaint in caught.value.complaints}
    assert found == {
        "window.sliding", "when", "time.watermark.partition", "time.late_policy.drop",
        "aggregate.median", "aggregate.sketch", "prev",
    }  # fmt: skip


def test_dedupe_is_read():
    rule = load_one(
        "- {id: a, from: t, when: true, dedupe: {by: [device, payload.seq], within: 5m}}"
    )
    assert [expression.text for expression in rule.dedupe.by] == ["device", "payload.seq"]
    assert rule.dedupe.within_ms == 300_000
