"""Reads signals from scenario files: one reader a signal, and one table that names them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firmware_sim.signals import (
    DAY_MS,
    HOUR_MS,
    Clamp,
    Constant,
    Daily,
    Drift,
    Noise,
    Offset,
    Pulse,
    Signal,
    Sine,
    Steps,
    Sum,
    Switch,
    Walk,
)
from gateway.documents import Node, Section, did_you_mean

NOTHING = Constant(0.0)
CLAMP_BOUNDS = 2


def load_signal(section: Section, key: str) -> Signal:
    """Read the signal that `section` describes: exactly one signal word, and perhaps `clamp`.

    `key` is what the section is called in errors. Other keys are left to the caller.
    """
    written = [word for word in section.keys() if word in READERS]  # noqa: SIM118 - not a dict
    clamp = _clamp(section)
    if len(written) == 1:
        node = section.get(written[0])
        signal = NOTHING if node is None else READERS[written[0]](section, node)
        return signal if clamp is None else Clamp(signal, *clamp)
    if written:
        section.complain(
            f"'{key}' has several signals ({', '.join(written)}); put them in a 'sum'", written[1]
        )
    elif not _complain_of_likely_word(section):
        section.complain(f"'{key}' has no signal; write one of {', '.join(READERS)}")
    return NOTHING


def _complain_of_likely_word(section: Section) -> bool:
    """A misspelt signal word is one error, not an unknown key and a missing signal."""
    for word in section.keys():  # noqa: SIM118 - a Section is no dict
        hint = did_you_mean(word, READERS)
        if hint:
            section.get(word)
            section.complain(f"unknown signal '{word}'{hint}", word, at_key=True)
            return True
    return False


def _clamp(section: Section) -> tuple[float, float] | None:
    node = section.get("clamp")
    if node is None:
        return None
    bounds = _numbers(section, node, "clamp")
    if len(bounds) != CLAMP_BOUNDS or bounds[0] > bounds[1]:
        section.complain_at(node, "'clamp' must be [low, high], with low at most high")
        return None
    return bounds[0], bounds[1]


def _numbers(section: Section, node: Node, key: str) -> list[float]:
    found: list[float] = []
    for item in section.items(node, key):
        if isinstance(item.value, (int, float)) and not isinstance(item.value, bool):
            found.append(float(item.value))
        else:
            section.complain_at(item, f"'{item.source}' is not a number")
    return found


def _number(section: Section, node: Node) -> float:
    found = _numbers(section, node, "number") if node.kind == "scalar" else []
    if node.kind != "scalar":
        section.complain_at(node, "expected a number")
    return found[0] if found else 0.0


def _inside(section: Section, node: Node, key: str, *required: str) -> Section | None:
    """The parameters of a signal; None, with a complaint, when they are no mapping."""
    inner = section.as_section(node, key)
    if inner is not None:
        inner.require(*required)
    return inner


def _phase(inner: Section) -> float | None:
    """A fraction of a period, or None when it is not written."""
    is_written = "phase" in inner
    phase = inner.number("phase", least=0.0, most=1.0)
    return phase if is_written else None


def _constant(section: Section, node: Node) -> Signal:
    return Constant(_number(section, node))


def _noise(section: Section, node: Node) -> Signal:
    return Noise(_number(section, node))


def _offset(section: Section, node: Node) -> Signal:
    return Offset(_number(section, node))


def _drift(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "drift", "per_hour")
    if inner is None:
        return NOTHING
    signal = Drift(inner.number("per_hour"))
    inner.finish()
    return signal


def _sine(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "sine", "amplitude", "period")
    if inner is None:
        return NOTHING
    signal = Sine(
        inner.number("amplitude"), inner.duration_ms("period", 1_000, least=1), _phase(inner)
    )
    inner.finish()
    return signal


def _daily(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "daily", "low", "high")
    if inner is None:
        return NOTHING
    signal = Daily(
        inner.number("low"),
        inner.number("high"),
        inner.duration_ms("peak", 14 * HOUR_MS),
        inner.duration_ms("day", DAY_MS, least=1),
    )
    if signal.low > signal.high:
        inner.complain("'low' is above 'high'", "low")
    inner.finish()
    return signal


def _walk(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "walk", "step", "every")
    if inner is None:
        return NOTHING
    signal = Walk(
        inner.number("step", least=0.0),
        inner.duration_ms("every", 1_000, least=1) or 1,
        inner.number("pull", least=0.0, most=1.0),
    )
    inner.finish()
    return signal


def _steps(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "steps", "levels", "every")
    if inner is None:
        return NOTHING
    levels_node = inner.get("levels")
    levels = [] if levels_node is None else _numbers(inner, levels_node, "levels")
    if levels_node is not None and not levels:
        inner.complain("'levels' needs at least one number", "levels")
    signal = Steps(tuple(levels) or (0.0,), _every(inner), _phase(inner))
    inner.finish()
    return signal


def _pulse(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "pulse", "add", "every", "for")
    if inner is None:
        return NOTHING
    signal = Pulse(
        add=inner.number("add"),
        every_ms=_every(inner),
        lasts_ms=inner.duration_ms("for", 1, least=1),
        ramp_ms=inner.duration_ms("ramp"),
        first_ms=inner.duration_ms("first"),
        spread_ms=inner.duration_ms("spread"),
        share=inner.number("share", 1.0, least=0.0, most=1.0),
    )
    if "every" in inner and "for" in inner and signal.lasts_ms > signal.every_ms:
        inner.complain("'for' is longer than 'every': the next begins before this one ends", "for")
    if 2 * signal.ramp_ms > signal.lasts_ms:
        inner.complain("'ramp' up and down takes longer than 'for'", "ramp")
    inner.finish()
    return signal


def _switch(section: Section, node: Node) -> Signal:
    inner = _inside(section, node, "switch", "on", "off")
    if inner is None:
        return NOTHING
    on_ms = inner.duration_ms("on", 1, least=1)
    signal = Switch(on_ms or 1, inner.duration_ms("off", 1, least=1), _phase(inner))
    inner.finish()
    return signal


def _every(inner: Section) -> int:
    """The time between two, never zero, whatever was written."""
    return inner.duration_ms("every", 1_000, least=1) or 1


def _sum(section: Section, node: Node) -> Signal:
    if node.kind != "list":
        section.complain_at(node, "'sum' must be a list of signals")
        return NOTHING
    parts: list[Signal] = []
    for item in node.value:
        inner = section.as_section(item, "sum")
        if inner is not None:
            parts.append(load_signal(inner, "this part of the sum"))
            inner.finish(*READERS)
    return Sum(tuple(parts))


READERS: dict[str, Callable[[Section, Node], Any]] = {
    "constant": _constant,
    "offset": _offset,
    "sine": _sine,
    "daily": _daily,
    "walk": _walk,
    "noise": _noise,
    "drift": _drift,
    "steps": _steps,
    "pulse": _pulse,
    "switch": _switch,
    "sum": _sum,
}
"""Every signal word of scenario files, with its reader."""
