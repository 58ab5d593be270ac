from gateway.rules.features import FEATURES
from gateway.rules.loader import parse_rules
from gateway.rules.reading.anatomy import expressions_of, zones_of
from tests.harness.rule_files import load_one

ZONED = """
version: 1
zones: {{yard: {{circle: {{lat: 1, lon: 1, radius_m: {radius}}}}}}}
rules:
  - {{id: a, from: t, when: 'inside(payload.lat, payload.lon, "yard")'}}
  - {{id: b, from: t, when: payload.x > 1}}
"""


def test_every_expression_of_a_rule_is_found():
    rule = load_one(
        """
        - id: a
          from: t
          key: payload.k
          where: payload.w
          let: {l: payload.l}
          window: {sliding: 1m}
          aggregate: {n: sum(payload.n)}
          when: n > 1
          alarm: {levels: [{severity: minor, when: n > 2}], message: "{n}"}
          publish: {topic: "x/{l}", payload: {deep: ["{device}"]}}
          time: {field: payload.ts}
        """
    )
    texts = [part.text for part in expressions_of(rule)]
    assert sorted(texts) == [
        "n > 1",
        "n > 2",
        "payload.k",
        "payload.l",
        "payload.n",
        "payload.ts",
        "payload.w",
        "x/{l}",
        "{device}",
        "{n}",
    ]


def test_a_digest_follows_the_zones_that_a_rule_names():
    small, large = (
        parse_rules(ZONED.format(radius=radius), "r.yaml", FEATURES).rules for radius in (5, 6)
    )
    assert zones_of(small[0]) == {"yard"}
    assert small[0].source_hash != large[0].source_hash
    assert small[1].source_hash == large[1].source_hash


def test_a_digest_follows_defaults():
    defaults = "version: 1\ndefaults: {{state: {{max_keys: {}}}}}\n"
    text = defaults + "rules: [{{id: a, from: t, when: true}}]\n"
    sets = [parse_rules(text.format(keys), "r.yaml", FEATURES) for keys in (5, 6)]
    assert sets[0].rules[0].source_hash != sets[1].rules[0].source_hash
