"""Whether what happened is what a case expects, and what to say where it isn't."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.rules.trials.cases import Expectation, Trial
from gateway.rules.trials.outcomes import Failure, Happening, spell_offset

SHOWN_MAX = 3
RELATIVE_TOLERANCE = 1e-9


def judge(
    trial: Trial, happenings: Sequence[Happening], states: Mapping[int, frozenset[str]]
) -> Iterator[Failure]:
    """Every expectation that was not met; `states` are those that were looked at, by number."""
    for number, expectation in enumerate(trial.expectations):
        if expectation.about == "state":
            message = _judge_state(expectation, states[number])
        else:
            message = _judge_happenings(expectation, happenings)
        if message:
            yield Failure(expectation.line, expectation.column, message)


def _judge_state(expectation: Expectation, states: frozenset[str]) -> str:
    state = expectation.fields["state"]
    if (state in states) is not expectation.is_forbidden:
        return ""
    who = " ".join(
        str(expectation.fields[name]) for name in ("rule", "key") if name in expectation.fields
    )
    time = spell_offset(expectation.end_ms or 0)
    wanted = f"not {state}" if expectation.is_forbidden else state
    return f"at {time} {who} should be {wanted}, and is {' and '.join(sorted(states))}"


def _judge_happenings(expectation: Expectation, happenings: Sequence[Happening]) -> str:
    alike = [one for one in happenings if _is_alike(expectation, one)]
    met = [one for one in alike if _is_within(expectation, one.at_ms)]
    if expectation.is_forbidden:
        if not met:
            return ""
        return f"{spell(expectation)} should not happen, but: {_listed(met)}"
    if expectation.times is not None:
        if len(met) == expectation.times:
            return ""
        found = f"; found {len(met)}" + (f": {_listed(met)}" if met else "")
        return f"expected {expectation.times} times {spell(expectation)}{found}"
    if met:
        return ""
    return f"expected {spell(expectation)}; {_nearest(expectation, happenings, alike)}"


def _nearest(
    expectation: Expectation, happenings: Sequence[Happening], alike: Sequence[Happening]
) -> str:
    """What comes closest to what was expected."""
    if alike:
        return f"it came at another time: {_listed(alike)}"
    rule = expectation.fields.get("rule")
    who = {name: expectation.fields.get(name) for name in ("rule", "stream", "publish")}
    near = [
        one
        for one in happenings
        if one.about == expectation.about
        and all(wanted in (None, one.fields.get(name)) for name, wanted in who.items())
    ]
    if near:
        return f"there was {_listed(near)}"
    return f"nothing of the kind happened{f' to {rule}' if rule else ''}"


def _listed(happenings: Sequence[Happening]) -> str:
    shown = "; ".join(one.shown for one in happenings[:SHOWN_MAX])
    more = len(happenings) - SHOWN_MAX
    return f"{shown}; and {more} more" if more > 0 else shown


def _is_alike(expectation: Expectation, happening: Happening) -> bool:
    return happening.about == expectation.about and all(
        is_as_said(wanted, happening.fields.get(name))
        for name, wanted in expectation.fields.items()
    )


def _is_within(expectation: Expectation, at_ms: int) -> bool:
    end_ms = expectation.end_ms
    return end_ms is None or expectation.start_ms <= at_ms <= end_ms


def is_as_said(wanted: Any, found: Any) -> bool:
    """Whether a value is the one that is wanted.

    Of a map only the fields that are written count, and numbers may differ in their last digits.
    """
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and is_as_said(one, found[name]) for name, one in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(wanted) == len(found)
            and all(is_as_said(*pair) for pair in zip(wanted, found, strict=True))
        )
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(wanted, found, rel_tol=RELATIVE_TOLERANCE, abs_tol=RELATIVE_TOLERANCE)
    return bool(wanted == found)


def spell(expectation: Expectation) -> str:
    """An expectation in one line."""
    fields = expectation.fields
    order = ("publish", "stream", "event", "rule", "key", "severity", "n")
    words = [str(fields[name]) for name in order if name in fields]
    words += [
        f"{name} {orjson.dumps(fields[name]).decode()}"
        for name in ("message", "reason", "suppressed", "payload")
        if name in fields
    ]
    what = " ".join(words)
    if expectation.end_ms is None:
        return what
    if expectation.start_ms == expectation.end_ms:
        return f"{what} at {spell_offset(expectation.end_ms)}"
    start, end = spell_offset(expectation.start_ms), spell_offset(expectation.end_ms)
    return f"{what} within {start} … {end}"
