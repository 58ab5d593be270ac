"""The examples of docs/rules.md, run: each rule file with the story that follows it, each table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.documents import parse_duration_ms
from gateway.rules import UNKNOWN, Derived, Engine, Loopback, Publication, Transition, parse_rules
from gateway.rules.expression.checker import Environment
from gateway.rules.expression.compiled import compile_expression
from gateway.rules.expression.functions import AGGREGATES, FUNCTIONS
from tests.harness.expression_reference import same
from tests.harness.rule_runs import Tape

GUIDE = (Path(__file__).parent.parent / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(version: .*?)```\n\n```text\n(.*?)```", GUIDE, re.S)
EXPRESSIONS = re.findall(r"^\| `(.+?)` \| (?:`(\{.*?\})`)? ?\| `(.+?)` \|$", GUIDE, re.M)
# Far enough from 1970 for every offset in the examples.
KINDS = {"publish": Publication, "emits": Derived}
START_MS = 1_767_225_600_000


def time_of(text):
    found = parse_duration_ms(text)
    assert found is not None, text
    return START_MS + found


def payload_of(text):
    payload = json.loads(text)
    if "ts" in payload:
        payload["ts"] += START_MS
    return payload


def run(rules, story):
    """What the engine says to a story, as the story writes it."""
    engine, tape, found = Engine(rules.rules), Tape(), []
    engine = Loopback(engine, rules.derived_streams_read)
    for line in story.splitlines():
        time, what, *rest = line.split(maxsplit=2)
        if what == "=>":
            continue
        if what == ".":
            found += engine.feed(tape.tick(time_of(time)))
            continue
        device = what.split("/")[1]
        payload = payload_of(rest[0])
        found += engine.feed(tape.event(payload, topic=what, device=device, arrival=time_of(time)))
    return found


def told(story):
    """The outcomes of a story: (time, words, detail)."""
    lines = re.findall(r"^(\S+)\s+=> (\w+) (\S+(?: [^\s\"{]+)?)(?: (.+))?$", story, re.M)
    assert len(lines) == story.count("=>"), story
    return [(time_of(time), verb, names, detail) for time, verb, names, detail in lines]


def is_as_told(output, line, seen_ms):
    time_ms, verb, names, detail = line
    if isinstance(output, Publication):
        is_same = verb == "publish" and names == output.topic and seen_ms == time_ms
        return is_same and (not detail or json.loads(detail) == json.loads(output.payload))
    if isinstance(output, Derived):
        record = json.loads(output.payload)
        is_same = (verb, names, time_ms) == ("emits", output.topic, record.pop("ts"))
        return is_same and json.loads(detail) == record
    is_same = (output.event, f"{output.rule} {output.key}".strip(), output.time_ms) == (
        verb,
        names,
        time_ms,
    )
    return is_same and (not detail or json.loads(detail) == output.message)


@pytest.mark.parametrize(
    ("text", "story"), EXAMPLES, ids=[re.findall(r"id: ([\w-]+)", text)[0] for text, _ in EXAMPLES]
)
def test_an_example_does_what_the_guide_says(text, story):
    outputs = run(parse_rules(text, "docs/rules.md"), story)
    lines = told(story)
    verbs = {verb for _, verb, _, _ in lines}
    wanted = (Transition, *[kind for verb, kind in KINDS.items() if verb in verbs])
    outputs = [o for o in outputs if isinstance(o, wanted)]
    assert len(outputs) == len(lines), outputs
    seen_ms = 0
    for output, line in zip(outputs, lines, strict=True):
        seen_ms = output.time_ms if isinstance(output, Transition) else seen_ms
        assert is_as_told(output, line, seen_ms), (output, line)


@pytest.mark.parametrize(("text", "payload", "value"), EXPRESSIONS)
def test_an_expression_has_the_value_that_the_guide_says(text, payload, value):
    compiled = compile_expression(text.replace("\\|", "|"), Environment())
    found = compiled.evaluate({"payload": json.loads(payload or "{}")})
    assert same(found, UNKNOWN if value == "unknown" else json.loads(value))


def test_the_guide_has_examples_at_all():
    assert len(EXAMPLES) >= 12
    assert len(EXPRESSIONS) >= 20


def test_every_function_and_every_running_aggregate_is_in_the_guide():
    missing = [name for name in (*FUNCTIONS, *AGGREGATES) if f"{name}(" not in GUIDE]
    assert missing == []
