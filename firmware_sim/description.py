"""Says in plain lines what a scenario simulates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from firmware_sim.faults import FAULT_TEXTS, FaultSpec
from firmware_sim.scenario import Field, FieldType, Kind, Scenario, share_out
from firmware_sim.services import ServicesSpec
from firmware_sim.signals import Clamp, Constant, Signal, Sum
from firmware_sim.timepiece import TRUE_TIME

UNITS_MS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))


def describe_scenario(scenario: Scenario) -> Iterator[str]:
    """Everything that a scenario says, a line at a time."""
    yield f"{scenario.name}: {scenario.title}"
    if scenario.why:
        yield f"  {scenario.why}"
    yield f"  {scenario.devices} devices for {duration_text(scenario.duration_ms)}"
    counts = share_out(scenario.devices, [kind.weight for kind in scenario.kinds])
    for kind, count in zip(scenario.kinds, counts, strict=True):
        yield ""
        yield from _describe_kind(kind, count)


def _describe_kind(kind: Kind, count: int) -> Iterator[str]:
    yield f"{count} x {kind.name}, {kind.rate_hz:g} readings a second each, QoS {kind.qos}"
    yield f"  topic {kind.topic(kind.device_name(0))}"
    link = kind.link
    yield (
        f"  keeps {link.buffer_max} readings without a connection; at most {link.in_flight_max} "
        f"unacknowledged; keep-alive {link.keep_alive_s} s"
    )
    for field in kind.fields:
        yield f"  {field.name}: {_describe_field(field)}"
    if kind.clock != TRUE_TIME:
        yield (
            f"  clock: off by up to {duration_text(kind.clock.error_ms)}, "
            f"drifts by up to {kind.clock.drift_ppm:g} ppm"
        )
    if kind.battery is not None:
        yield (
            f"  battery: lasts {duration_text(kind.battery.lasts_ms)}, "
            f"charges in {duration_text(kind.battery.charge_ms)}"
        )
    if kind.is_exactly_once:
        yield "  exactly once: every reading carries penstock-seq (--protocol 5)"
    if kind.services is not None:
        yield from describe_services(kind.services)
    for fault in kind.faults:
        yield f"  {_describe_fault(fault)}"


def describe_services(services: ServicesSpec) -> Iterator[str]:
    """The services of a kind, a line for each thing that can be asked of it."""
    twin, commands, updates = services.twin, services.commands, services.updates
    if twin is not None:
        yield (
            f"  twin: interval_s from {duration_text(twin.interval_ms_least)} "
            f"to {duration_text(twin.interval_ms_most)}"
        )
        for threshold in twin.thresholds:
            side = "above" if threshold.is_above else "below"
            yield (
                f"  twin: {threshold.name} {threshold.limit:g}; '{threshold.shows}' is true "
                f"while {threshold.field} is {side} it"
            )
    if commands is not None:
        failing = f"; {commands.fails:.0%} fail" if commands.fails else ""
        yield (
            f"  commands: ping, set, reboot (off for {duration_text(commands.restart_ms)}); "
            f"the flash remembers {commands.remembers} requests{failing}"
        )
    if updates is not None:
        signed = "sha256 and ed25519" if updates.public_key else "sha256"
        yield (
            f"  updates: from {updates.version}, off for {duration_text(updates.install_ms)} to "
            f"install, checked by {signed}; {updates.fails:.0%} fail, "
            f"{updates.rolls_back:.0%} roll back"
        )


def _describe_field(field: Field) -> str:
    if field.text is not None:
        return f"always '{field.text}'"
    written = {
        FieldType.NUMBER: f"to {10.0**-field.decimals:g}",
        FieldType.INTEGER: "whole number",
        FieldType.BOOLEAN: "true or false",
    }
    return f"{signal_text(field.signal)} ({written[field.field_type]})"


def _describe_fault(fault: FaultSpec) -> str:
    lasts = f" for {duration_text(fault.lasts_ms)}" if fault.lasts_ms else ""
    sign = "-" if fault.by_ms < 0 else ""
    by = f" by {sign}{duration_text(abs(fault.by_ms))}" if fault.by_ms else ""
    whom = "of them, all at once" if fault.is_common else "of them"
    return (
        f"{fault.kind.value}{by} about every {duration_text(fault.every_ms)}{lasts}, "
        f"{fault.share:.0%} {whom}: {FAULT_TEXTS[fault.kind]}"
    )


def signal_text(signal: Signal) -> str:
    """One signal in a few words."""
    if isinstance(signal, Sum):
        return " + ".join(signal_text(part) for part in signal.parts)
    if isinstance(signal, Clamp):
        return f"{signal_text(signal.of)}, within {signal.low:g} to {signal.high:g}"
    if isinstance(signal, Constant):
        return f"{signal.value:g}"
    parts = [
        f"{field.name.removesuffix('_ms').replace('_', ' ')} {_value_text(field.name, value)}"
        for field in dataclasses.fields(signal)
        if (value := getattr(signal, field.name)) is not None
    ]
    return f"{type(signal).__name__.lower()} ({', '.join(parts)})"


def _value_text(name: str, value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{item:g}" for item in value)
    if name.endswith("_ms") and isinstance(value, int):
        return duration_text(value)
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def duration_text(duration_ms: int) -> str:
    """Write a duration as people do: `90000` is `1m30s`."""
    parts = []
    for unit_ms, unit in UNITS_MS:
        number, duration_ms = divmod(duration_ms, unit_ms)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
