"""Reads `services:` of a scenario's kind; every error says file:line:column."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from firmware_sim.services.spec import (
    INTERVAL,
    INTERVAL_LEAST_MS,
    INTERVAL_MOST_MS,
    CommandsSpec,
    ServicesSpec,
    ThresholdSpec,
    TwinSpec,
    UpdatesSpec,
)
from firmware_sim.services.update import CRYPTOGRAPHY_MISSING, can_check_signatures
from gateway.documents import Section, did_you_mean

REMEMBERED_MAX = 10_000
PUBLIC_KEY_BYTES = 32
RESERVED = (INTERVAL, "firmware", "boots")


def load_services(section: Section, fields: Mapping[str, bool]) -> ServicesSpec | None:
    """Read the services of a kind; None without any. `fields` says which fields are numbers."""
    inner = section.section("services")
    if inner is None:
        return None
    spec = ServicesSpec(
        twin=_twin(inner, fields), commands=_commands(inner), updates=_updates(inner)
    )
    if spec == ServicesSpec():
        inner.complain("'services' has at least one of twin, commands, updates")
    inner.finish("twin", "commands", "updates")
    return spec


def _twin(services: Section, fields: Mapping[str, bool]) -> TwinSpec | None:
    section = services.section("twin")
    if section is None:
        return None
    defaults = TwinSpec()
    least, most = INTERVAL_LEAST_MS, INTERVAL_MOST_MS
    spec = TwinSpec(
        section.duration_ms("interval_least", defaults.interval_ms_least, least=least, most=most),
        section.duration_ms("interval_most", defaults.interval_ms_most, least=least, most=most),
        _thresholds(section, fields),
    )
    if spec.interval_ms_least > spec.interval_ms_most:
        section.complain("'interval_least' is above 'interval_most'", "interval_least")
    section.finish()
    return spec


def _thresholds(twin: Section, fields: Mapping[str, bool]) -> tuple[ThresholdSpec, ...]:
    inner = twin.section("thresholds")
    if inner is None:
        return ()
    found = []
    shown: set[str] = set()
    for key, node in inner.entries():
        section = inner.as_section(node, key.source)
        if section is None:
            continue
        if key.source in RESERVED:
            inner.complain_at(key, f"'{key.source}' is in every twin already")
        spec = _threshold(section, key.source, fields)
        if spec.shows in shown:
            section.complain(f"two thresholds show '{spec.shows}'", "shows")
        shown.add(spec.shows)
        found.append(spec)
    return tuple(found)


def _threshold(section: Section, name: str, fields: Mapping[str, bool]) -> ThresholdSpec:
    section.require("field", "shows")
    numbers = [field for field, is_number in fields.items() if is_number]
    field, shows = section.text("field"), section.text("shows")
    if "field" in section and field not in numbers:
        hint = did_you_mean(field, numbers) or f"; there are {', '.join(sorted(numbers)) or 'none'}"
        section.complain(f"no number '{field}' among the fields{hint}", "field")
    if shows and (shows in fields or shows in {"ts", "seq"}):
        section.complain(f"'{shows}' is a field of the reading already", "shows")
    if ("above" in section) == ("below" in section):
        section.complain("a threshold has an 'above' or a 'below'")
    is_above = "above" in section
    limit = section.number("above" if is_above else "below", 0.0)
    section.finish("above", "below")
    return ThresholdSpec(name, field, limit, is_above, shows)


def _commands(services: Section) -> CommandsSpec | None:
    section = services.section("commands")
    if section is None:
        return None
    defaults = CommandsSpec()
    spec = CommandsSpec(
        section.number("fails", 0.0, least=0.0, most=1.0),
        section.duration_ms("restart", defaults.restart_ms, least=1),
        section.integer("remembers", defaults.remembers, least=1, most=REMEMBERED_MAX),
    )
    section.finish()
    return spec


def _updates(services: Section) -> UpdatesSpec | None:
    section = services.section("updates")
    if section is None:
        return None
    defaults = UpdatesSpec()
    spec = UpdatesSpec(
        section.text("version", defaults.version),
        section.duration_ms("install", defaults.install_ms, least=1),
        section.number("fails", 0.0, least=0.0, most=1.0),
        section.number("rolls_back", 0.0, least=0.0, most=1.0),
        _public_key(section),
    )
    section.finish()
    return spec


def _public_key(section: Section) -> bytes | None:
    if "public_key" not in section:
        return None
    if not can_check_signatures():
        section.complain(CRYPTOGRAPHY_MISSING, "public_key")
    try:
        key = base64.b64decode(section.text("public_key"), validate=True)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        section.complain("'public_key' is an ed25519 key: 32 bytes in base64", "public_key")
        return None
    return key
