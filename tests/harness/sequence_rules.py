"""Sequences as rule files, from the structures that their twin reads."""

from __future__ import annotations

from math import inf

from tests.harness.rule_runs import Tape, engine_of
from tests.harness.sequence_twin import Twin


def condition(letters):
    return " || ".join(f'payload.k == "{letter}"' for letter in letters) or "false"


def spell_guard(guard):
    fields = [f"not: '{condition(guard.letters)}'"]
    if guard.within is not None:
        fields.append(f"within: {guard.within}ms")
    if guard.is_strict:
        fields.append("contiguity: strict")
    return "{" + ", ".join(fields) + "}"


def spell_step(place, step):
    if step.is_group:
        parts = (
            f"{{id: s{place}p{part}, when: '{condition(letters)}'}}"
            for part, letters in enumerate(step.parts)
        )
        fields = [f"all_of: [{', '.join(parts)}]"]
    else:
        fields = [f"id: s{place}", f"when: '{condition(step.parts[0])}'"]
        if (step.least, step.most) != (1, 1):
            most = "" if step.most == inf else f", max: {step.most}"
            fields.append(f"times: {{min: {step.least}{most}}}")
    fields.append(f"contiguity: {step.contiguity}")
    if step.is_skippable:
        fields.append("optional: true")
    if step.until:
        fields.append(f"until: '{condition(step.until)}'")
    if step.within != inf:
        fields.append(f"within: {step.within}ms")
    return "{" + ", ".join(fields) + "}"


def spell_names(place, step):
    if step.is_group:
        return " ".join(f"{{s{place}p{part}.payload.no}}" for part in range(len(step.parts)))
    if (step.least, step.most) == (1, 1):
        return f"{{s{place}.payload.no}}"
    name = f"s{place}"
    first, last, total = (f"{name}.{one}.payload.no" for one in ("first", "last", "sum"))
    return f"{{{first}}}-{{{last}}}/{{{name}.count}}/{{{total}}}"


def rule_of(twin, *, time=""):
    """The rule file whose matches the twin tells, each with its events in its message."""
    steps = []
    for place, step in enumerate(twin.steps):
        steps += [spell_guard(guard) for guard in step.guards]
        steps.append(spell_step(place, step))
    steps += [spell_guard(guard) for guard in twin.last_guards]
    message = " | ".join(spell_names(place, step) for place, step in enumerate(twin.steps))
    within = "" if twin.within == inf else f"within: {twin.within}ms\n    "
    return f"""
- id: r
  from: plant/+
  key: device
  {time}
  sequence:
    {within}skip: {twin.skip}
    steps:
      - {chr(10).join("      - " + step for step in steps)[8:]}
  alarm: {{message: "{message}"}}
"""


def tell(twin, chain):
    """A chain as the rule's message tells it."""
    told = []
    for place, step in enumerate(twin.steps):
        own = [taken for taken in chain if taken.place == place]
        if step.is_group:
            by_part = {taken.part: taken.no for taken in own}
            told.append(" ".join(str(by_part.get(p, "?")) for p in range(len(step.parts))))
        elif (step.least, step.most) == (1, 1):
            told.append(str(own[0].no) if own else "?")
        else:
            numbers = [taken.no for taken in own]
            told.append(
                f"{numbers[0]}-{numbers[-1]}/{len(numbers)}/{sum(numbers)}" if own else "?-?/?/?"
            )
    return " | ".join(told)


def expected(twin):
    """(time, message) of every match, by definition."""
    return [(time, tell(twin, chain)) for time, chain in twin.matches()]


def run_engine(twin, *, is_general=False, end=None):
    """(time, message) of every match, by the engine."""
    engine, tape = engine_of(rule_of(twin)), Tape()
    (plan,) = engine._lanes[0].plans
    if is_general:
        plan.pattern.is_linear = False
    outputs = []
    for no, (time, letter) in enumerate(twin.events):
        outputs += engine.feed(tape.event({"k": letter, "no": no}, arrival=time))
    if end is not None:
        outputs += engine.feed(tape.event({"k": "-", "no": -1}, arrival=end))
    return [(o.time_ms, o.message) for o in outputs if o.event == "raised"]


def twin_of(steps, events, **options):
    return Twin(tuple(steps), tuple(events), **options)
