from __future__ import annotations

import pytest

from firmware_sim.signal_loader import READERS, load_signal
from firmware_sim.signals import (
    Clamp,
    Constant,
    Daily,
    Drift,
    Noise,
    Offset,
    Pulse,
    Sine,
    Steps,
    Sum,
    Switch,
    Walk,
)
from gateway.documents import parse_document
from gateway.errors import DocumentInvalid


def load(text):
    top = parse_document(f"x: {text}\n", "s.yaml")
    section = top.section("x")
    signal = load_signal(section, "x")
    section.finish()
    top.finish()
    top.raise_complaints()
    return signal


def complaints(text):
    with pytest.raises(DocumentInvalid) as caught:
        load(text)
    return str(caught.value).splitlines()


WRITTEN = [
    ("{constant: 4}", Constant(4.0)),
    ("{offset: 0.5}", Offset(0.5)),
    ("{noise: 0.1}", Noise(0.1)),
    ("{drift: {per_hour: -3}}", Drift(-3.0)),
    ("{sine: {amplitude: 2, period: 7s}}", Sine(2.0, 7_000, None)),
    ("{sine: {amplitude: 2, period: 7s, phase: 0.5}}", Sine(2.0, 7_000, 0.5)),
    ("{daily: {low: 18, high: 26}}", Daily(18.0, 26.0)),
    ("{daily: {low: 1, high: 2, peak: 3h, day: 1m}}", Daily(1.0, 2.0, 10_800_000, 60_000)),
    ("{walk: {step: 0.1, every: 1s, pull: 0.2}}", Walk(0.1, 1_000, 0.2)),
    ("{steps: {levels: [1, 2.5], every: 40s}}", Steps((1.0, 2.5), 40_000, None)),
    ("{switch: {on: 5s, off: 1s, phase: 0}}", Switch(5_000, 1_000, 0.0)),
    (
        "{pulse: {add: 3, every: 30s, for: 9s, ramp: 1s, first: 4s, spread: 2s, share: 0.1}}",
        Pulse(3.0, 30_000, 9_000, 1_000, 4_000, 2_000, 0.1),
    ),
    ("{sum: [{constant: 4}, {noise: 1}]}", Sum((Constant(4.0), Noise(1.0)))),
    ("{noise: 9, clamp: [-1, 1]}", Clamp(Noise(9.0), -1.0, 1.0)),
    ("{sum: [{noise: 9, clamp: [0, 1]}]}", Sum((Clamp(Noise(9.0), 0.0, 1.0),))),
]


@pytest.mark.parametrize(("text", "signal"), WRITTEN)
def test_a_signal_is_read_as_it_is_written(text, signal):
    assert load(text) == signal


def test_every_signal_word_is_tried_here():
    assert all(any(f"{word}:" in text for text, _ in WRITTEN) for word in READERS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{sin: {amplitude: 1}}", "s.yaml:1:5: unknown signal 'sin', did you mean 'sine'?"),
        ("{}", "'x' has no signal"),
        ("{noise: 1, constant: 2}", "s.yaml:1:25: 'x' has several signals (noise, constant)"),
        ("{noise: loud}", "s.yaml:1:12: 'loud' is not a number"),
        ("{noise: [1]}", "expected a number"),
        ("{constant: {value: 1}}", "expected a number"),
        ("{walk: {step: 1}}", "s.yaml:1:11: missing key 'every'"),
        ("{walk: {step: 1, every: 0s}}", "'every' is 0s; it must be at least 1 ms"),
        ("{walk: {step: -1, every: 1s}}", "'step' is -1; it must be at least 0"),
        ("{walk: 5}", "'walk' must be a mapping of keys to values"),
        ("{drift: {per_day: 1}}", "unknown key 'per_day'"),
        ("{drift: 1}", "must be a mapping"),
        ("{sine: 1}", "must be a mapping"),
        ("{daily: 1}", "must be a mapping"),
        ("{steps: 1}", "must be a mapping"),
        ("{pulse: 1}", "must be a mapping"),
        ("{switch: 1}", "must be a mapping"),
        ("{sine: {amplitude: 1, period: 5}}", "'5' is not a duration"),
        ("{sine: {amplitude: 1, period: 5s, phase: 2}}", "'phase' is 2; it must be at least 0"),
        ("{daily: {low: 3, high: 1}}", "'low' is above 'high'"),
        ("{steps: {levels: [], every: 1s}}", "'levels' needs at least one number"),
        ("{steps: {levels: [a], every: 1s}}", "'a' is not a number"),
        ("{pulse: {add: 1, every: 2s, for: 3s}}", "'for' is longer than 'every'"),
        ("{pulse: {add: 1, every: 9s, for: 2s, ramp: 2s}}", "'ramp' up and down takes longer"),
        ("{pulse: {add: 1, every: 9s, for: 2s, shar: 1}}", "unknown key 'shar', did you mean"),
        ("{sum: {noise: 1}}", "'sum' must be a list of signals"),
        ("{sum: [{noise: 1, decimals: 2}]}", "unknown key 'decimals'"),
        ("{sum: [{wak: 1}]}", "unknown signal 'wak', did you mean 'walk'?"),
        ("{noise: 1, clamp: 5}", "'clamp' must be [low, high]"),
        ("{noise: 1, clamp: [5, 1]}", "'clamp' must be [low, high]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, complaint):
    assert any(complaint in line for line in complaints(text))


def test_all_errors_of_a_sum_are_found_in_one_pass():
    found = complaints("{sum: [{noise: a}, {walk: {step: b, every: c}}]}")
    assert len(found) == 3
