from __future__ import annotations

import pytest

from gateway.devices import ReportPolicy, SequenceField, parse_profile
from gateway.errors import DocumentInvalid

PROFILE = """version: 1
profile: pump
topics: ["plant/{device}/t"]
payload: {format: json}
%s
"""


def profile(rest):
    (found,) = parse_profile(PROFILE % rest, "pump.yaml").profiles
    return found


def test_a_profile_says_how_its_devices_count_and_report():
    found = profile(
        "sequence: {field: header.seq, wrap: 65536}\nreport: {every: 10s, heartbeat: 1m}"
    )
    assert found.sequence == SequenceField(("header", "seq"), 65_536)
    assert found.report == ReportPolicy(10_000, 60_000)
    assert found.is_watched
    assert not profile("").is_watched


@pytest.mark.parametrize(
    ("rest", "place"),
    [
        ("sequence: {wrap: 5}", "pump.yaml:5:"),
        ("sequence: {field: a..b}", "pump.yaml:5:19"),
        ("sequence: {field: a, wrap: 1}", "pump.yaml:5:28"),
        ("report: {}", "pump.yaml:5:"),
        ("report: {every: 10ms}", "pump.yaml:5:17"),
        ("report: {every: 1m, heartbeat: 10s}", "pump.yaml:5:32"),
        ("report: {often: 1m}", "pump.yaml:5:10"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(rest, place):
    with pytest.raises(DocumentInvalid) as refused:
        profile(rest)
    assert place in str(refused.value)
