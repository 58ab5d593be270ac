"""What rules refer to by name: lookups, zones and schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from gateway.documents import Node, Section
from gateway.errors import ExpressionInvalid
from gateway.rules.expression.checker import find_timezone
from gateway.rules.expression.nodes import Literal
from gateway.rules.geometry import Circle, Polygon, Region, check_point
from gateway.rules.reading.reader import NAME, optional_ms
from gateway.rules.spec import Lookup, Schedule, Zone

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
RADIUS_M_MAX: Final = 20_100_000.0
CORNERS_MIN: Final = 3
CORNERS_MAX: Final = 10_000
PAIR: Final = 2
MIDNIGHT: Final = "24:00"
FileText = Callable[[str], str]


def read_lookups(document: Section) -> dict[str, Lookup]:
    """The `lookups` block."""
    section = document.section("lookups")
    found: dict[str, Lookup] = {}
    for key, node in section.entries() if section is not None else ():
        entry = section.as_section(node, key.source) if section is not None else None
        if section is None or entry is None or not _is_name(section, key):
            continue
        entry.require("file", "key")
        reload_ms = optional_ms(entry, "reload", least=1_000)
        found[key.source] = Lookup(key.source, entry.text("file"), entry.text("key"), reload_ms)
        entry.finish()
    return found


def read_schedules(document: Section) -> dict[str, Schedule]:
    """The `schedules` block."""
    section = document.section("schedules")
    found: dict[str, Schedule] = {}
    for key, node in section.entries() if section is not None else ():
        entry = section.as_section(node, key.source) if section is not None else None
        if section is None or entry is None or not _is_name(section, key):
            continue
        entry.require("timezone")
        found[key.source] = Schedule(
            key.source,
            _timezone(entry),
            _days(entry),
            _minute(entry, "from", 0),
            _minute(entry, "to", 24 * 60),
        )
        entry.finish()
    return found


def _timezone(section: Section) -> str:
    name = section.text("timezone", "UTC")
    try:
        find_timezone(Literal(1, name))
    except ExpressionInvalid as error:
        section.complain(str(error), "timezone")
    return name


def _days(section: Section) -> tuple[int, ...]:
    node = section.get("days")
    if node is None:
        return tuple(range(len(DAYS)))
    days: list[int] = []
    for item in section.items(node, "days"):
        if item.source not in DAYS:
            section.complain_at(item, f"'{item.source}' is not a day; write {', '.join(DAYS)}")
        elif DAYS.index(item.source) in days:
            section.complain_at(item, f"duplicate day '{item.source}'")
        else:
            days.append(DAYS.index(item.source))
    return tuple(sorted(days))


def _minute(section: Section, key: str, default: int) -> int:
    node = section.get(key)
    if node is None:
        return default
    match = CLOCK.fullmatch(node.source)
    if match is not None:
        return int(match[1]) * 60 + int(match[2])
    if node.source == MIDNIGHT and key == "to":
        return 24 * 60
    section.complain_at(node, f"'{node.source}' is not a time of day (write \"08:00\")")
    return default


def read_zones(document: Section, file_text: FileText) -> dict[str, Zone]:
    """The `zones` block; `file_text` reads a GeoJSON file that stands beside the rules.

    `file_text` raises OSError or UnicodeDecodeError when it can't.
    """
    section = document.section("zones")
    found: dict[str, Zone] = {}
    for key, node in section.entries() if section is not None else ():
        entry = section.as_section(node, key.source) if section is not None else None
        if section is None or entry is None or not _is_name(section, key):
            continue
        shapes = [shape for shape in ("circle", "polygon", "geojson") if shape in entry]
        if len(shapes) != 1:
            entry.complain("a zone has one of 'circle', 'polygon' and 'geojson'")
        zone = (
            _circle(entry, key.source)
            or _polygon(entry, key.source)
            or _geojson(entry, key.source, file_text)
        )
        entry.finish()
        # A zone that is wrong still has its name, so that rules don't complain about it again.
        found[key.source] = zone or Circle(key.source, 0, 0, 0)
    return found


def _circle(zone: Section, name: str) -> Circle | None:
    section = zone.section("circle")
    if section is None:
        return None
    section.require("lat", "lon", "radius_m")
    circle = Circle(
        name,
        section.number("lat", 0, least=-90.0, most=90.0),
        section.number("lon", 0, least=-180.0, most=180.0),
        section.number("radius_m", 0, least=0.001, most=RADIUS_M_MAX),
    )
    section.finish()
    return circle


def _polygon(zone: Section, name: str) -> Polygon | None:
    node = zone.get("polygon")
    if node is None:
        return None
    if node.kind != "list" or not CORNERS_MIN <= len(node.value) <= CORNERS_MAX:
        zone.complain_at(node, f"a polygon is a list of {CORNERS_MIN} to {CORNERS_MAX} [lat, lon]")
        return None
    ring = tuple(corner for item in node.value if (corner := _corner(zone, item)) is not None)
    return Polygon(name, ring) if len(ring) >= CORNERS_MIN else None


def _corner(zone: Section, node: Node) -> tuple[float, float] | None:
    numbers = [item.value for item in node.value] if node.kind == "list" else []
    if len(numbers) == PAIR and all(type(number) in (int, float) for number in numbers):
        try:
            check_point(*numbers)
        except ValueError:
            zone.complain_at(node, "no such point; write [lat, lon] in degrees")
            return None
        return float(numbers[0]), float(numbers[1])
    zone.complain_at(node, "a corner is [lat, lon]")
    return None


def _geojson(zone: Section, name: str, file_text: FileText) -> Region | None:
    node = zone.get("geojson")
    if node is None:
        return None
    try:
        polygons = tuple(_geojson_polygons(json.loads(file_text(node.source)), name))
    except OSError as error:
        zone.complain_at(node, f"'{node.source}' can't be read: {error.strerror}")
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        zone.complain_at(node, f"'{node.source}' is not GeoJSON with polygons")
    else:
        if polygons:
            return Region(name, polygons)
        zone.complain_at(node, f"'{node.source}' has no polygon")
    return None


def _geojson_polygons(shape: dict, name: str) -> list[Polygon]:  # type: ignore[type-arg] # JSON
    """The polygons of a GeoJSON object; its positions are [lon, lat].

    Raises:
        ValueError, TypeError, KeyError or IndexError: it is none.
    """
    match shape["type"]:
        case "FeatureCollection":
            parts = shape["features"]
        case "Feature":
            parts = [shape["geometry"]]
        case "GeometryCollection":
            parts = shape["geometries"]
        case "MultiPolygon":
            return [_rings(name, rings) for rings in shape["coordinates"]]
        case "Polygon":
            return [_rings(name, shape["coordinates"])]
        case _:
            return []
    return [polygon for part in parts for polygon in _geojson_polygons(part, name)]


def _rings(name: str, rings: list[list[list[float]]]) -> Polygon:
    ring, *holes = (
        tuple((float(position[1]), float(position[0])) for position in ring) for ring in rings
    )
    for lat, lon in ring:
        check_point(lat, lon)
    if len(ring) < CORNERS_MIN:
        raise ValueError("a ring has at least three corners")
    return Polygon(name, ring, tuple(holes))


def _is_name(section: Section, key: Node) -> bool:
    if NAME.fullmatch(key.source):
        return True
    section.complain_at(
        key, f"'{key.source}' is not a name (small letters, digits and _, a letter first)"
    )
    return False
