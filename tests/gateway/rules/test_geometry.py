import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.rules.geometry import EARTH_RADIUS_M, Circle, Polygon, Region, check_point, distance_m

SQUARE = ((50.0, 30.0), (50.0, 31.0), (51.0, 31.0), (51.0, 30.0))
lats, lons = st.floats(-90, 90), st.floats(-180, 180)


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((0, 0), (0, 0), 0),
        ((0, 0), (0, 180), math.pi * EARTH_RADIUS_M),
        ((90, 0), (-90, 77), math.pi * EARTH_RADIUS_M),
        ((0, 0), (0, 1), math.pi * EARTH_RADIUS_M / 180),
        ((0, 179.5), (0, -179.5), math.pi * EARTH_RADIUS_M / 180),
        # Kyiv to Lviv: on the ellipsoid it is 468.5 km.
        ((50.4501, 30.5234), (49.8397, 24.0297), 467_500),
    ],
)
def test_distances_are_those_of_great_circles(one, other, metres):
    assert distance_m(*one, *other) == pytest.approx(metres, rel=1e-3, abs=1e-6)


@given(lats, lons, lats, lons)
def test_distance_is_symmetric_and_bounded(lat, lon, other_lat, other_lon):
    there = distance_m(lat, lon, other_lat, other_lon)
    assert there == pytest.approx(distance_m(other_lat, other_lon, lat, lon), abs=1e-3)
    assert 0 <= there <= math.pi * EARTH_RADIUS_M + 1


@settings(max_examples=200)
@given(st.floats(49, 52), st.floats(29, 32))
def test_a_square_holds_what_lies_between_its_sides(lat, lon):
    assert Polygon("p", SQUARE).holds(lat, lon) is (50 <= lat <= 51 and 30 <= lon <= 31)
    assert Polygon("p", SQUARE[::-1]).holds(lat, lon) is (50 <= lat <= 51 and 30 <= lon <= 31)


def test_borders_and_corners_count_as_inside():
    square = Polygon("p", SQUARE)
    for lat, lon in (*SQUARE, (50.5, 30.0), (51.0, 30.25)):
        assert square.holds(lat, lon)


def test_a_concave_ring_leaves_its_bay_out():
    ring = (
        (0.0, 0.0),
        (0.0, 3.0),
        (3.0, 3.0),
        (3.0, 2.0),
        (1.0, 2.0),
        (1.0, 1.0),
        (3.0, 1.0),
        (3.0, 0.0),
    )
    shape = Polygon("u", ring)
    assert shape.holds(2.0, 0.5)
    assert shape.holds(2.0, 2.5)
    assert not shape.holds(2.0, 1.5)


def test_a_hole_is_outside_and_its_rim_inside():
    hole = ((50.4, 30.4), (50.4, 30.6), (50.6, 30.6), (50.6, 30.4))
    shape = Polygon("p", SQUARE, (hole,))
    assert not shape.holds(50.5, 30.5)
    assert shape.holds(50.4, 30.5)
    assert shape.holds(50.2, 30.5)


def test_a_ring_may_cross_the_date_line():
    fiji = Polygon("fiji", ((-20.0, 177.0), (-20.0, -178.0), (-15.0, -178.0), (-15.0, 177.0)))
    for lon in (178.0, 180.0, -180.0, -179.0, 181.0):
        assert fiji.holds(-17.0, lon)
    for lon in (176.0, -177.0, 0.0):
        assert not fiji.holds(-17.0, lon)


def test_a_circle_holds_its_rim():
    edge_m = distance_m(0, 0, 0, 1)
    circle = Circle("c", 0.0, 0.0, edge_m)
    assert circle.holds(0.0, 1.0)
    assert not circle.holds(0.0, 1.0001)


def test_a_region_is_any_of_its_polygons():
    region = Region("r", (Polygon("r", SQUARE), Polygon("r", ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0)))))
    assert region.holds(50.5, 30.5)
    assert region.holds(0.1, 0.1)
    assert not region.holds(20.0, 20.0)


@pytest.mark.parametrize("point", [(91, 0), (0, 361), (float("nan"), 0), (0, float("inf"))])
def test_there_are_no_points_beyond_the_earth(point):
    with pytest.raises(ValueError, match="no such point"):
        check_point(*point)
