from __future__ import annotations

import io
import logging

import pytest

from gateway.cli import log_lines
from gateway.cli.log_lines import KINDS_MAX, LINES_MAX, LineBudget, PlainFormatter, start_log
from gateway.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log(clock):
    """A logger and what it wrote so far."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(PlainFormatter("%(message)s"))
    handler.addFilter(LineBudget(clock))
    logger = logging.Logger("gateway.test")  # noqa: LOG001 - nobody else shall get its lines
    logger.addHandler(handler)
    logger.lines = lambda: handler.stream.getvalue().splitlines()
    return logger


def test_a_kind_of_line_has_a_budget_and_says_what_was_left_out(log, clock):
    for number in range(LINES_MAX + 500):
        log.info("closing %s", number)
    assert len(log.lines()) == LINES_MAX
    clock.advance(60_001)
    log.info("closing %s", "another")
    assert log.lines()[-1] == "closing another (and 500 lines like it before)"
    log.info("closing %s", "one more")
    assert log.lines()[-1] == "closing one more"


def test_another_kind_has_its_own_budget(log):
    for number in range(100):
        log.info("closing %s", number)
    log.warning("the disk is full")
    assert log.lines()[-1] == "the disk is full"


def test_who_invents_kinds_costs_no_memory(log):
    for number in range(KINDS_MAX + 5):
        log.info(f"kind {number}")  # noqa: G004 - a text of its own is the point
    (budget,) = log.handlers[0].filters
    assert len(budget._kinds) <= KINDS_MAX


def test_what_a_client_writes_can_not_forge_a_line(log):
    log.info("closing '%s'", "a\n2026-01-01 ERROR gateway: all is lost\x1b[2J\x9b\u2028")
    (line,) = log.lines()
    assert line == "closing 'a?2026-01-01 ERROR gateway: all is lost?[2J??'"


def test_a_line_is_not_longer_than_a_reader_can_take(log):
    log.info("no stream takes '%s'", "x" * 60_000)
    assert len(log.lines()[0]) == log_lines.LINE_CHARACTERS_MAX + 1


def test_a_traceback_keeps_its_lines(log):
    try:
        int("no")
    except ValueError:
        log.exception("a part failed")
    assert len(log.lines()) > 2


def test_the_log_goes_to_stderr_in_one_form(monkeypatch, capsys):
    root = logging.Logger("root")  # noqa: LOG001 - it takes the place of the real one
    monkeypatch.setattr(logging, "root", root)
    start_log("info", ManualClock())
    root.info("here")
    assert capsys.readouterr().err.endswith("INFO root: here\n")
