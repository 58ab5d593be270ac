from __future__ import annotations

import dataclasses
import io

import orjson
import pytest

from firmware_sim.account import Ledger
from firmware_sim.fleet import Progress
from firmware_sim.replay import ReplayProgress
from firmware_sim.report import (
    JsonReport,
    LiveReport,
    PlainReport,
    choose_report,
    outcome_of,
    progress_pairs,
    replay_pairs,
    values_of,
    verdict_pairs,
)

PROGRESS = Progress(
    elapsed_ms=2_000, devices=10, phases={"resting": 1}, connected=9, taken=1_000,
    published=1_000, repeats=3,
    acknowledged=990, refused=1, overflowed=2, buffered=4, in_flight=5, reconnects=6, refusals=7,
    latency_ms_p50=1, latency_ms_p99=20, latency_ms_max=300, faults={"resend": 8},
)  # fmt: skip
REPLAY = ReplayProgress(
    elapsed_ms=2_000, rows=500, published=400, acknowledged=0, repeats=3, refused=1,
    reconnects=6, latency_ms_p50=0, latency_ms_p99=0, latency_ms_max=0,
)  # fmt: skip


def tell_all(report):
    with report:
        report.show("a", [("x", "1"), ("y", "2")], {"x": 1})
        report.show("b", [("x", "2")], {"x": 2})
        report.tell("something", {"event": "thing"})
        report.conclude("end", [("x", "3"), ("long name", "4")], {"ok": True})


def test_plain_lines_hold_one_thing_each(capsys):
    tell_all(PlainReport())
    assert capsys.readouterr().out == (
        "a: x 1, y 2\nb: x 2\nsomething\n\nend\n  x          3\n  long name  4\n"
    )


def test_plain_lines_may_be_thinned(capsys):
    tell_all(PlainReport(every=2))
    assert capsys.readouterr().out.startswith("b: x 2\nsomething\n")


def test_json_is_one_object_a_line_with_its_type(capsys):
    tell_all(JsonReport())
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"type": "progress", "x": 1},
        {"type": "progress", "x": 2},
        {"type": "event", "event": "thing"},
        {"type": "summary", "ok": True},
    ]


def test_a_live_table_ends_with_the_conclusion(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    tell_all(LiveReport())
    shown = screen.getvalue()
    assert "something" in shown
    assert shown.index("something") < shown.index("end")
    assert "long name" in shown


@pytest.mark.parametrize(
    ("is_terminal", "as_json", "kind"),
    [(True, True, JsonReport), (True, False, LiveReport), (False, False, PlainReport)],
)
def test_the_report_fits_the_reader(monkeypatch, is_terminal, as_json, kind):
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    report = choose_report(as_json=as_json)
    assert isinstance(report, kind)
    assert report.is_live is (kind is LiveReport)


def test_progress_is_put_in_words():
    pairs = dict(progress_pairs(PROGRESS))
    assert pairs["connected"] == "9 of 10, 1 resting"
    assert pairs["published"] == "1,000 (500/s)"
    assert pairs["ack p50/p99/max"] == "1/20/300 ms"
    assert pairs["refused"] == "7 connects, 1 readings"
    assert pairs["faults"] == "resend 8"
    assert pairs["buffer overflows"] == "2"
    assert values_of(PROGRESS)["latency_ms_p99"] == 20


def test_a_replay_is_put_in_words():
    pairs = dict(replay_pairs(REPLAY))
    assert pairs["rows"] == "400 of 500"
    assert pairs["rows a second"] == "200"
    assert pairs["ack p50/p99/max"] == "-"
    assert pairs["refused"] == "1"


def test_a_verdict_shows_what_is_missing_and_what_is_strange():
    ledger = Ledger(keeps_readings=True)
    account = ledger.open_account("t")
    account.taken(0, b"x")
    account.acknowledged(0, 1)
    ledger.stored("t", b"?")
    pairs = dict(verdict_pairs(ledger.settle()))
    assert pairs["acknowledged and missing"] == "1"
    assert pairs["taken by no device"] == "1"
    assert "refused by the server" not in pairs


def test_services_are_put_in_words():
    busy = dataclasses.replace(PROGRESS, services={"command_obeyed": 1_200, "answered": 3})
    assert ("services", "command obeyed 1,200, answered 3") in progress_pairs(busy)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, "nothing acknowledged is missing"),
        ({"missing": 1, "misdelivered": 1}, "ACKNOWLEDGED READINGS ARE GONE"),
        ({"commands_repeated": 1}, "COMMANDS WERE OBEYED TWICE"),
        ({"misdelivered": 1}, "MESSAGES WENT ASTRAY"),
    ],
)
def test_the_outcome_names_the_worst_that_happened(change, outcome):
    verdict = dataclasses.replace(Ledger(keeps_readings=True).settle(), **change)
    assert outcome_of(verdict) == outcome
    assert verdict.is_good is (not change)
