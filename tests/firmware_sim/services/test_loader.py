from __future__ import annotations

import pytest

from firmware_sim.services import (
    CommandsSpec,
    ServicesSpec,
    ThresholdSpec,
    TwinSpec,
    UpdatesSpec,
    load_services,
)
from gateway.documents import parse_document
from gateway.errors import DocumentInvalid

FIELDS = {"celsius": True, "site": False}


def load(text):
    top = parse_document(text, "s.yaml")
    services = load_services(top, FIELDS)
    top.finish("services")
    top.raise_complaints()
    return services


def test_a_kind_without_services_has_none():
    assert load("version: 1\nservices:\n  commands: {}\n".replace("version: 1\n", "")) == (
        ServicesSpec(commands=CommandsSpec())
    )
    assert load("{}") is None


def test_everything_that_can_be_said_is_read():
    services = load("""
services:
  twin:
    interval_least: 1s
    interval_most: 1h
    thresholds: {hot: {field: celsius, above: 30, shows: is_hot}}
  commands: {fails: 0.1, restart: 3s, remembers: 5}
  updates: {version: "0.9", install: 4s, fails: 0.2, rolls_back: 0.3}
""")
    hot = ThresholdSpec("hot", "celsius", 30, is_above=True, shows="is_hot")
    assert services == ServicesSpec(
        TwinSpec(1_000, 3_600_000, (hot,)),
        CommandsSpec(0.1, 3_000, 5),
        UpdatesSpec("0.9", 4_000, 0.2, 0.3),
    )


@pytest.mark.parametrize(
    ("inner", "complaint"),
    [
        ("services: {}", "at least one of twin, commands, updates"),
        ("services: {twins: {}}", "s.yaml:1:12: unknown key 'twins'"),
        ("services: {twin: {interval_least: 2s, interval_most: 1s}}", "is above 'interval_most'"),
        ("services: {twin: {thresholds: {hot: {field: celsius, shows: x}}}}", "an 'above' or a"),
        (
            "services: {twin: {thresholds: {hot: {field: celcius, above: 1, shows: x}}}}",
            "no number 'celcius' among the fields, did you mean 'celsius'",
        ),
        ("services: {twin: {thresholds: {boots: {field: celsius, above: 1, shows: x}}}}", "every"),
        (
            "services: {twin: {thresholds: {hot: {field: celsius, above: 1, shows: site}}}}",
            "'site' is a field of the reading already",
        ),
        (
            "services: {twin: {thresholds: {a: {field: celsius, above: 1, shows: x}, "
            "b: {field: celsius, below: 1, shows: x}}}}",
            "two thresholds show 'x'",
        ),
        ("services: {commands: {fails: 2}}", "at most 1"),
        ("services: {updates: {public_key: abc}}", "32 bytes in base64"),
        ("services: {updates: {public_key: AAAA}}", "32 bytes in base64"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(inner, complaint):
    with pytest.raises(DocumentInvalid, match=complaint) as failed:
        load(inner)
    assert str(failed.value).startswith("s.yaml:1:")


def test_a_key_is_read():
    key = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="
    assert len(load(f'services: {{updates: {{public_key: "{key}"}}}}').updates.public_key) == 32
