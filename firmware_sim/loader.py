"""Reads scenario files; every error says file:line:column, and one pass finds them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from string import Formatter

from firmware_sim.battery import FIELD, BatterySpec
from firmware_sim.faults import MOMENTARY, FaultKind, FaultSpec
from firmware_sim.scenario import (
    DEVICES_MAX,
    RATE_HZ_MAX,
    Field,
    FieldType,
    Kind,
    LinkSpec,
    Scenario,
)
from firmware_sim.services import load_services
from firmware_sim.signal_loader import READERS, load_signal
from firmware_sim.signals import Constant
from firmware_sim.timepiece import TRUE_TIME, TimepieceSpec
from gateway.documents import Section, did_you_mean, parse_duration_ms, read_document
from gateway.errors import DocumentInvalid, MqttError
from gateway.mqtt import check_topic_name

DEVICE_NAME_BYTES_MAX = 256
DECIMALS_MAX = 9
KEEP_ALIVE_S_MAX = 65_535
IN_FLIGHT_MAX = 10_000
BUFFER_MAX = 1_000_000
RESERVED_FIELDS = ("ts", "seq")
DRIFT_PPM_MAX = 10_000.0
CLOCK_MS_MAX = 10 * 365 * 86_400_000
SHORTEST_FAULT_MS = 10


class ScenarioUnknown(DocumentInvalid):
    """A scenario is asked for that is neither shipped nor a file."""

    def __init__(self, message: str) -> None:
        super().__init__(())
        self.args = (message,)


def shipped_scenarios() -> list[str]:
    """The names of the scenarios that come with the program, sorted."""
    folder = files("firmware_sim") / "scenarios"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def find_scenario(name_or_path: str) -> Path:
    """Find a shipped scenario by name, or a file by path.

    Raises:
        ScenarioUnknown: there is neither.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return path
    shipped = shipped_scenarios()
    if name_or_path in shipped:
        return Path(str(files("firmware_sim") / "scenarios" / f"{name_or_path}.yaml"))
    hint = did_you_mean(name_or_path, shipped) or f"; shipped are {', '.join(shipped)}"
    raise ScenarioUnknown(f"{name_or_path}: no such scenario, and no such file{hint}")


def load_scenario(name_or_path: str) -> Scenario:
    """Read a shipped scenario by name, or a file by path.

    Raises:
        DocumentInvalid: carries every error in the file, each with its line and column.
    """
    return read_scenario(read_document(find_scenario(name_or_path)))


def read_scenario(top: Section) -> Scenario:
    """Read the scenario whose file is `top`.

    Raises:
        DocumentInvalid: carries every error in the file, each with its line and column.
    """
    top.require("version", "scenario", "kinds")
    common = tuple(_fault(inner, is_common=True) for inner in top.sections("faults"))
    if top.integer("version", 1) != 1:
        top.complain("version must be 1; a newer program wrote this file", "version")
    scenario = Scenario(
        name=top.text("scenario"),
        title=top.text("title"),
        why=top.text("why"),
        devices=top.integer("devices", 100, least=1, most=DEVICES_MAX),
        duration_ms=top.duration_ms("duration", 60_000, least=1),
        boot_within_ms=top.duration_ms("boot_within", 1_000),
        kinds=tuple(replace(kind, faults=common + kind.faults) for kind in _kinds(top)),
    )
    top.finish()
    top.raise_complaints()
    return scenario


def _kinds(top: Section) -> list[Kind]:
    sections = top.sections("kinds")
    if "kinds" in top and not sections:
        top.complain("'kinds' needs at least one kind of device", "kinds")
    by_count = [section for section in sections if "count" in section]
    if by_count and len(by_count) != len(sections):
        by_count[0].complain("either every kind has a 'count' or none has", "count")
    names: set[str] = set()
    kinds = []
    for section in sections:
        kind = _kind(section)
        if kind.name in names:
            section.complain(f"duplicate kind '{kind.name}'", "kind")
        names.add(kind.name)
        kinds.append(kind)
    return kinds


def _kind(section: Section) -> Kind:
    section.require("kind", "topic", "rate", "fields")
    kind = Kind(
        name=section.text("kind"),
        weight=_weight(section),
        device_template=_device_template(section),
        topic_template=_topic_template(section),
        rate_hz=section.number("rate", 1.0, most=RATE_HZ_MAX),
        qos=section.integer("qos", 1, least=0, most=1),
        fields=tuple(_fields(section)),
        faults=tuple(_fault(inner) for inner in section.sections("faults")),
        link=_link(section),
        clock=_clock(section),
        battery=_battery(section),
        is_exactly_once=section.boolean("exactly_once"),
    )
    kind = replace(kind, services=load_services(section, _numbers(kind.fields)))
    if kind.qos == 0 and kind.is_exactly_once:
        section.complain("'exactly_once' repeats until it is acknowledged: QoS 1", "exactly_once")
    if kind.qos == 0 and any(fault.kind is FaultKind.RESEND for fault in kind.faults):
        section.complain("'resend' loses acknowledgements, and QoS 0 has none", "faults")
    if kind.rate_hz <= 0.0:
        section.complain(f"'rate' is {kind.rate_hz} Hz; it must be above 0", "rate")
    section.finish()
    return kind


def _numbers(fields: Iterable[Field]) -> dict[str, bool]:
    """The names of the fields, and which of them are numbers."""
    return {
        field.name: field.text is None and field.field_type is not FieldType.BOOLEAN
        for field in fields
    }


def _weight(section: Section) -> float:
    count = section.integer("count", 1, least=1, most=DEVICES_MAX)
    share = section.number("share", 1.0, most=float(DEVICES_MAX))
    if "count" in section and "share" in section:
        section.complain("write 'count' or 'share', not both", "share")
    if share <= 0.0:
        section.complain(f"'share' is {share}; it must be above 0", "share")
    return float(count) if "count" in section else max(share, 1e-9)


def _device_template(section: Section) -> str:
    template = section.text("device", "{kind}-{number}")
    names = _names_in_braces(section, "device", template, ("kind", "number"))
    if names is not None and "number" not in names:
        section.complain("'device' must contain {number}: devices need different names", "device")
    if any(character in template for character in "/+#"):
        section.complain("'device' is one level of a topic: no '/', '+' or '#'", "device")
    if len(template.encode()) > DEVICE_NAME_BYTES_MAX // 2:
        section.complain(f"'device' is longer than {DEVICE_NAME_BYTES_MAX // 2} bytes", "device")
    return template


def _topic_template(section: Section) -> str:
    template = section.text("topic", "{device}")
    names = _names_in_braces(section, "topic", template, ("kind", "device"))
    if names is not None and "device" not in names:
        section.complain("'topic' must contain {device}: else no reading has a sender", "topic")
    try:
        # The longest device name that can be, so that no device's topic is too long.
        check_topic_name(template.replace("{device}", "x" * DEVICE_NAME_BYTES_MAX))
    except MqttError as error:
        section.complain(str(error), "topic")
    if template.startswith("$"):
        section.complain("topics that begin with '$' belong to the server", "topic")
    return template


def _names_in_braces(
    section: Section, key: str, template: str, known: tuple[str, ...]
) -> set[str] | None:
    """The names in braces of a template; None when it can't be read or has unknown ones."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        section.complain(f"'{key}' can't be read: {error}", key)
        return None
    names = {name for _, name, _, _ in parts if name is not None}
    plain = all(not spec and conversion is None for _, _, spec, conversion in parts)
    for name in sorted(names - set(known)):
        hint = did_you_mean(name, known) or f"; known here: {', '.join(known)}"
        section.complain(f"unknown name '{{{name}}}'{hint}", key)
    if not plain:
        section.complain("in braces stand plain names: no ':' and no '!'", key)
    return names if plain and names <= set(known) else None


def _fields(section: Section) -> list[Field]:
    inner = section.section("fields")
    if inner is None:
        return []
    fields = []
    for key, node in inner.entries():
        if key.source in RESERVED_FIELDS:
            inner.complain_at(key, f"'{key.source}' is in every payload already")
        field_section = inner.as_section(node, key.source)
        if field_section is not None:
            fields.append(_field(field_section, key.source))
    return fields


def _field(section: Section, name: str) -> Field:
    if "text" in section:
        field = Field(name, Constant(0.0), text=section.text("text"))
        section.finish()
        return field
    signal = load_signal(section, name)
    field_type = FieldType(section.choice("as", [each.value for each in FieldType], "number"))
    field = Field(
        name, signal, field_type, section.integer("decimals", 2, least=0, most=DECIMALS_MAX)
    )
    if "decimals" in section and field_type is not FieldType.NUMBER:
        section.complain("'decimals' is for numbers only", "decimals")
    section.finish(*READERS, "text")
    return field


def _fault(section: Section, *, is_common: bool = False) -> FaultSpec:
    section.require("fault", "every")
    kind = FaultKind(section.choice("fault", [each.value for each in FaultKind], "reconnect"))
    spec = FaultSpec(
        kind,
        section.duration_ms("every", 10_000, least=SHORTEST_FAULT_MS) or SHORTEST_FAULT_MS,
        section.duration_ms("for"),
        section.number("share", 1.0, least=0.0, most=1.0),
        _jump(section) if kind is FaultKind.CLOCK_JUMP else 0,
        is_common,
    )
    is_known = section.text("fault") == kind.value
    if is_known and kind in MOMENTARY and "for" in section:
        section.complain(f"'{kind.value}' happens at one moment and has no 'for'", "for")
    if is_known and kind not in MOMENTARY and "for" not in section:
        section.complain(f"'{kind.value}' needs a 'for'")
    if "every" in section and 2 * spec.lasts_ms > spec.every_ms:
        section.complain("'for' must be at most half of 'every', or faults would overlap", "for")
    section.finish()
    return spec


def _jump(section: Section) -> int:
    """How far a clock jumps: a duration, with a minus sign for backward."""
    text = section.text("by")
    by_ms = parse_duration_ms(text.removeprefix("-"))
    if not by_ms or by_ms > CLOCK_MS_MAX:
        at = "by" if "by" in section else None
        section.complain("'clock_jump' needs a 'by': how far, such as 1h or -30m", at)
        return 0
    return -by_ms if text.startswith("-") else by_ms


def _clock(section: Section) -> TimepieceSpec:
    inner = section.section("clock")
    if inner is None:
        return TRUE_TIME
    spec = TimepieceSpec(
        drift_ppm=inner.number("drift_ppm", 0.0, least=0.0, most=DRIFT_PPM_MAX),
        error_ms=inner.duration_ms("error", most=CLOCK_MS_MAX),
    )
    inner.finish()
    return spec


def _battery(section: Section) -> BatterySpec | None:
    inner = section.section("battery")
    if inner is None:
        return None
    inner.require("lasts", "charge")
    spec = BatterySpec(
        lasts_ms=inner.duration_ms("lasts", 60_000, least=1_000),
        charge_ms=inner.duration_ms("charge", 1_000, least=10),
        per_message_ms=inner.duration_ms("per_message"),
    )
    if 2 * spec.per_message_ms > spec.lasts_ms:
        inner.complain("'per_message' empties a battery at once; it is far below 'lasts'")
    fields = section.section("fields")
    if fields is not None and FIELD in fields:
        fields.complain(f"'{FIELD}' is in every payload of a device with a battery", FIELD)
    inner.finish()
    return spec


def _link(section: Section) -> LinkSpec:
    inner = section.section("link")
    spec = LinkSpec()
    if inner is None:
        return spec
    spec = LinkSpec(
        keep_alive_s=inner.duration_ms("keep_alive", spec.keep_alive_s * 1_000) // 1_000,
        response_ms=inner.duration_ms("response", spec.response_ms, least=100),
        in_flight_max=inner.integer("in_flight", spec.in_flight_max, least=1, most=IN_FLIGHT_MAX),
        buffer_max=inner.integer("buffer", spec.buffer_max, least=1, most=BUFFER_MAX),
        back_off_first_ms=inner.duration_ms("back_off_first", spec.back_off_first_ms, least=1),
        back_off_most_ms=inner.duration_ms("back_off_most", spec.back_off_most_ms, least=1),
    )
    if spec.keep_alive_s > KEEP_ALIVE_S_MAX:
        inner.complain(f"'keep_alive' is at most {KEEP_ALIVE_S_MAX}s", "keep_alive")
    if spec.back_off_first_ms > spec.back_off_most_ms:
        inner.complain("'back_off_first' is above 'back_off_most'", "back_off_first")
    inner.finish()
    return spec
