import orjson
import pytest

from gateway.cli.record_lines import (
    Choice,
    Printer,
    json_line,
    printable,
    report_gaps,
    size_text,
    text_line,
)
from gateway.events import Origin, RecordBatch, Run
from gateway.store import Correction, Gap


def a_batch(count):
    origin = Origin("plant/pump-7/t", "pump-7")
    run = Run("telemetry", 0, "c", 1000, [origin] * count, [b"1"] * count, bytes(count))
    return RecordBatch("telemetry", 0, 0, 1, [run])


@pytest.mark.parametrize("show", [json_line, text_line])
def test_a_printer_stops_at_its_limit(show, capsysbinary):
    printer = Printer(Choice("", "", 3), show)
    printer.print(a_batch(2))
    assert (printer.left, printer.is_done) == (1, False)
    printer.print(a_batch(2))
    assert (printer.left, printer.is_done) == (0, True)
    assert len(capsysbinary.readouterr().out.splitlines()) == 3


def test_a_time_that_is_known_to_be_wrong_is_shown_with_what_it_should_have_been(capsysbinary):
    printer = Printer(Choice("", "", None), json_line)
    printer.print(a_batch(1))
    assert b"corrected_time" not in capsysbinary.readouterr().out
    printer.corrections = [Correction("boot", 500, 1_500, 60_000)]
    printer.print(a_batch(1))
    shown = orjson.loads(capsysbinary.readouterr().out)
    assert shown["time"] == "1970-01-01T00:00:01.000Z"
    assert shown["corrected_time"] == "1970-01-01T00:01:01.000Z"


def test_each_gap_is_told_once(capsys):
    gaps = [Gap("telemetry", 1, 5, 9, "removed")]
    report_gaps(gaps)
    report_gaps(gaps)
    assert capsys.readouterr().err == "penstock: telemetry/1: offsets 5 to 8 are removed\n"


def test_sizes_and_text_are_fit_for_a_terminal():
    assert [size_text(size) for size in (0, 1023, 1536)] == ["0 B", "1023 B", "1.5 KiB"]
    assert printable("a\x1b[2J") == "a\\x1b[2J"
