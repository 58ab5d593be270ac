import pytest

from gateway.documents import parse_document
from gateway.rules.reading.references import read_lookups, read_schedules, read_zones


def read(text, reader, *arguments):
    """What a reader finds in a file, and what it complains of."""
    document = parse_document(text, "r.yaml")
    found = reader(document, *arguments)
    return found, [f"{c.line}:{c.column}: {c.message}" for c in document.complaints]


def no_file(name):
    raise FileNotFoundError(2, "No such file or directory", name)


def test_lookups_are_read():
    found, wrong = read("lookups: {assets: {file: a.csv, key: id, reload: 30s}}", read_lookups)
    assert (found["assets"].file, found["assets"].key, found["assets"].reload_ms) == (
        "a.csv",
        "id",
        30_000,
    )
    assert not wrong
    _, wrong = read("lookups: {Assets: {file: a.csv, key: id}, b: {file: x}, c: 5}", read_lookups)
    assert not read("schedules: {X: {timezone: UTC}}", read_schedules)[0]
    assert not read("zones: {X: {geojson: x}}", read_zones, no_file)[0]
    assert [line.split(": ", 1)[1] for line in wrong] == [
        "'Assets' is not a name (small letters, digits and _, a letter first)",
        "missing key 'key'",
        "'c' must be a mapping of keys to values",
    ]


def test_schedules_are_read():
    text = 'schedules: {day: {days: [mon, wed], from: "08:00", to: "18:30", timezone: Europe/Kyiv}}'
    found, wrong = read(text, read_schedules)
    day = found["day"]
    assert (day.days, day.from_minute, day.to_minute, day.timezone) == (
        (0, 2),
        480,
        1110,
        "Europe/Kyiv",
    )
    assert not wrong


def test_a_schedule_is_the_whole_week_unless_it_says_otherwise():
    found, _ = read("schedules: {always: {timezone: UTC, to: 24:00}}", read_schedules)
    assert (found["always"].days, found["always"].to_minute) == (tuple(range(7)), 1440)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{}", "missing key 'timezone'"),
        ("{timezone: Nowhere/Town}", "unknown time zone 'Nowhere/Town'"),
        ("{timezone: UTC, days: [monday]}", "'monday' is not a day; write mon, tue"),
        ("{timezone: UTC, days: [mon, mon]}", "duplicate day 'mon'"),
        ("{timezone: UTC, from: 8am}", "'8am' is not a time of day (write \"08:00\")"),
        ("{timezone: UTC, from: 24:00}", "'24:00' is not a time of day"),
    ],
)
def test_mistakes_in_a_schedule_are_named(schedule, message):
    _, wrong = read(f"schedules: {{x: {schedule}}}", read_schedules)
    assert len(wrong) == 1
    assert message in wrong[0]


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ("{}", "a zone has one of 'circle', 'polygon' and 'geojson'"),
        ("{circle: {lat: 91, lon: 0, radius_m: 5}}", "'lat' is 91"),
        ("{circle: {lat: 1, lon: 0}}", "missing key 'radius_m'"),
        ("{circle: {lat: 1, lon: 0, radius_m: 0}}", "'radius_m' is 0"),
        ("{polygon: [[1, 1], [2, 2]]}", "a polygon is a list of 3 to 10000 [lat, lon]"),
        ("{polygon: [[1, 1], [2, 2], [3]]}", "a corner is [lat, lon]"),
        ("{polygon: [[1, 1], [2, 2], [95, 2]]}", "no such point; write [lat, lon] in degrees"),
        ("{geojson: gone.json}", "'gone.json' can't be read: No such file or directory"),
    ],
)
def test_mistakes_in_a_zone_are_named(zone, message):
    found, wrong = read(f"zones: {{x: {zone}}}", read_zones, no_file)
    assert len(wrong) == 1
    assert message in wrong[0]
    assert set(found) == {"x"}


RING = "[[30,50],[31,50],[31,51],[30,51],[30,50]]"
POLYGON = f'{{"type": "Polygon", "coordinates": [{RING}]}}'
FEATURE = f'{{"type": "Feature", "geometry": {POLYGON}}}'


@pytest.mark.parametrize(
    "text",
    [
        POLYGON,
        FEATURE,
        f'{{"type": "MultiPolygon", "coordinates": [[{RING}]]}}',
        f'{{"type": "FeatureCollection", "features": [{FEATURE}]}}',
        f'{{"type": "GeometryCollection", "geometries": [{POLYGON}]}}',
    ],
)
def test_geojson_has_longitude_first(text):
    found, wrong = read("zones: {x: {geojson: f}}", read_zones, lambda _: text)
    assert not wrong
    assert found["x"].holds(50.5, 30.5)
    assert not found["x"].holds(30.5, 50.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "{}",
        '{"type": "Polygon"}',
        "[" * 5_000,
        '{"type": "Polygon", "coordinates": [[[1,2],[3,4]]]}',
        '{"type": "Polygon", "coordinates": [[[30,500],[1,2],[3,4]]]}',
    ],
)
def test_what_is_no_geojson_is_refused(text):
    _, wrong = read("zones: {x: {geojson: f}}", read_zones, lambda _: text)
    assert wrong == ["1:22: 'f' is not GeoJSON with polygons"]
