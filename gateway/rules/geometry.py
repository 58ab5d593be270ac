"""Places on the Earth, taken as a sphere: distances, circles and polygons."""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_M = 6_371_008.8  # the mean radius of IUGG
HALF_TURN = 180.0
FULL_TURN = 360.0
LATITUDE_MAX = 90.0


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """The length of the great circle between two points, by the haversine formula.

    Raises:
        ValueError: a latitude or longitude that doesn't exist.
    """
    check_point(lat, lon)
    check_point(other_lat, other_lon)
    phi, other_phi = math.radians(lat), math.radians(other_lat)
    across = math.sin(math.radians(other_lon - lon) / 2)
    along = math.sin((other_phi - phi) / 2)
    chord = along * along + math.cos(phi) * math.cos(other_phi) * across * across
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))


def check_point(lat: float, lon: float) -> None:
    """Refuse a point that is not on the Earth.

    Raises:
        ValueError: a latitude beyond 90 or a longitude beyond 360 degrees.
    """
    if not (-LATITUDE_MAX <= lat <= LATITUDE_MAX and -FULL_TURN <= lon <= FULL_TURN):
        raise ValueError(f"no such point: {lat}, {lon}")


@dataclass(frozen=True, slots=True)
class Circle:
    """Everything within `radius_m` of a point."""

    name: str
    lat: float
    lon: float
    radius_m: float

    def holds(self, lat: float, lon: float) -> bool:
        return distance_m(self.lat, self.lon, lat, lon) <= self.radius_m


@dataclass(frozen=True, slots=True)
class Polygon:
    """A ring of (lat, lon) corners less its holes; edges run straight in latitude and longitude.

    A ring may cross the 180th meridian, but not hold a pole.
    """

    name: str
    ring: tuple[tuple[float, float], ...]
    holes: tuple[tuple[tuple[float, float], ...], ...] = ()

    def holds(self, lat: float, lon: float) -> bool:
        check_point(lat, lon)
        return _in_ring(self.ring, lat, lon) and not any(
            _in_ring(hole, lat, lon) and not _on_edge(hole, lat, lon) for hole in self.holes
        )


@dataclass(frozen=True, slots=True)
class Region:
    """Several polygons under one name."""

    name: str
    polygons: tuple[Polygon, ...]

    def holds(self, lat: float, lon: float) -> bool:
        return any(polygon.holds(lat, lon) for polygon in self.polygons)


def _near(lon: float, reference: float) -> float:
    """The same longitude within half a turn of `reference`, over the 180th meridian if need be."""
    return reference + (lon - reference + HALF_TURN) % FULL_TURN - HALF_TURN


def _edges(
    ring: tuple[tuple[float, float], ...], lon: float
) -> list[tuple[float, float, float, float]]:
    """The ring's edges, unrolled from its first corner and moved by whole turns to `lon`."""
    unrolled = [ring[0]]
    for corner_lat, corner_lon in ring[1:]:
        unrolled.append((corner_lat, _near(corner_lon, unrolled[-1][1])))
    middle = (min(lon for _, lon in unrolled) + max(lon for _, lon in unrolled)) / 2
    shift = _near(middle, lon) - middle
    corners = [(corner_lat, corner_lon + shift) for corner_lat, corner_lon in unrolled]
    return [(*one, *other) for one, other in zip(corners, corners[1:] + corners[:1], strict=True)]


def _in_ring(ring: tuple[tuple[float, float], ...], lat: float, lon: float) -> bool:
    if _on_edge(ring, lat, lon):
        return True
    is_inside = False
    for lat1, lon1, lat2, lon2 in _edges(ring, lon):
        # A half-open span of latitude, so that a corner is crossed once.
        if (lat1 > lat) != (lat2 > lat):
            crossing = lon1 + (lat - lat1) / (lat2 - lat1) * (lon2 - lon1)
            is_inside ^= lon < crossing
    return is_inside


def _on_edge(ring: tuple[tuple[float, float], ...], lat: float, lon: float) -> bool:
    return any(
        (lon2 - lon1) * (lat - lat1) == (lon - lon1) * (lat2 - lat1)
        and min(lat1, lat2) <= lat <= max(lat1, lat2)
        and min(lon1, lon2) <= lon <= max(lon1, lon2)
        for lat1, lon1, lat2, lon2 in _edges(ring, lon)
    )
