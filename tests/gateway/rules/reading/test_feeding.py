from gateway.rules.patterns.plans import sources_read, streams_read, topic_filters
from tests.harness.rule_files import complaints, load

FEEDING = """
- {id: a, from: plant/+, emit: {stream: as}}
- {id: b, from: [rule:a, other/#], emit: {stream: bs}}
- id: c
  from: plant/+
  join: {with: {one: rule:b}, within: 1m}
  when: payload.x > one.payload.x
- id: d
  from: plant/+
  sequence:
    within: 1m
    steps:
      - {id: x, from: rule:a, when: payload.x > 1}
      - all_of: [{id: y, from: rule:b, when: payload.x > 1}, {id: z, when: payload.x > 2}]
"""


def test_every_source_that_is_a_rule_knows_its_stream():
    rules = {rule.id: rule for rule in load(FEEDING).rules}
    assert [streams_read(rules[name]) for name in "abcd"] == [(), ("as",), ("bs",), ("as", "bs")]
    assert topic_filters(rules["b"]) == ("other/#",)
    assert [source.topic_filter for source in sources_read(rules["c"])] == [
        "plant/+",
        "derived/bs/#",
    ]


def test_a_rule_that_reads_rules_goes_by_their_time_and_nothing_of_it_is_late():
    text = "- {id: a, from: t, emit: {stream: s}}\n- {id: b, from: rule:a, when: payload.x > 1%s}"
    rule = load(text % "").rules[1]
    assert (rule.time.by, rule.time.field.text, rule.time.late_ms) == ("event", "payload.ts", None)
    own = load(text % ", time: {by: event, field: payload.at, late: 1s}").rules[1]
    assert (own.time.field.text, own.time.late_ms) == ("payload.at", 1_000)


def test_rules_that_feed_each_other_in_a_circle_are_refused_with_their_place():
    (found,) = complaints(
        "- {id: a, from: rule:b, emit: {stream: s}}\n- {id: b, from: rule:a, emit: {stream: t}}"
    )
    assert found == "1:17: these rules feed each other in a circle: a → b → a"
