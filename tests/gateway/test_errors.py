from __future__ import annotations

import inspect

import pytest

from gateway import errors
from gateway.errors import (
    Complaint,
    DocumentInvalid,
    ExpressionInvalid,
    MalformedPacket,
    MqttError,
    PenstockError,
    ProtocolError,
    StoreError,
    StoreFull,
    StoreUnavailable,
)

ERRORS = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Exception)
]


def test_a_complaint_reads_as_file_line_column_and_message():
    assert str(Complaint("rules/pump.yaml", 7, 3, "unknown key")) == (
        "rules/pump.yaml:7:3: unknown key"
    )


def test_an_invalid_document_says_each_complaint_on_a_line_of_its_own():
    complaints = [Complaint("a.yaml", 1, 2, "first"), Complaint("a.yaml", 3, 4, "second")]
    error = DocumentInvalid(complaints)
    assert str(error) == "a.yaml:1:2: first\na.yaml:3:4: second"
    assert error.complaints == tuple(complaints)


def test_an_invalid_expression_knows_its_column():
    assert ExpressionInvalid("unexpected ')'", 7).column == 7
    assert ExpressionInvalid("empty").column == 1


def test_the_errors_of_the_specification_carry_its_reason_codes():
    assert MalformedPacket("cut short").reason_code == 0x81
    assert ProtocolError("a second CONNECT").reason_code == 0x82
    assert ProtocolError("too large", 0x95).reason_code == 0x95
    assert MqttError("busy", 0x89).reason_code == 0x89


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_ours_and_says_when_it_is_raised(error):
    assert issubclass(error, PenstockError)
    assert error.__doc__


def test_what_may_be_repeated_is_one_family():
    assert issubclass(StoreFull, StoreUnavailable)
    assert issubclass(StoreUnavailable, StoreError)
