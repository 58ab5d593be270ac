"""How fast payloads are decoded by profiles, on one core: JSON, frames, CSV, MessagePack, CBOR."""

from __future__ import annotations

import json
import statistics
import struct
import time
from typing import NamedTuple

import orjson
from msgspec import msgpack

from benchmarks.plan import Plan
from benchmarks.report import Report, Target
from gateway.devices import Decode, parse_profile

PAYLOADS = 100_000
PAYLOADS_QUICK = 10_000
READING = {
    "ts": 1767225600123,
    "temperature": 21.5,
    "humidity": 44.2,
    "pressure": 10132,
    "rpm": 1480,
    "state": "running",
    "on": True,
    "seq": 77,
}
FIELDS = """
fields:
  temperature: {min: -40, max: 125}
  humidity: {min: 0, max: 100}
  pressure: {unit: hPa, scale: 0.1}
  rpm: {type: integer, min: 0}
  state: {type: text}
  on: {type: boolean}
  seq: {type: integer}
time: {field: ts}
"""
LAYOUT = """
payload:
  format: frame
  layout:
    - {name: version, type: u8}
    - {type: u8, bits: {alarm: 0, mode: 4-7}}
    - {name: temperature, type: i16}
    - {name: rms, type: u16}
    - {name: peak, type: u16}
    - {name: battery, type: u16}
    - {name: counter, type: u16}
    - {name: taken, type: u32}
fields:
  temperature: {scale: 0.01, min: -40, max: 125}
"""


class Case(NamedTuple):
    """One profile with one payload, and the rate that is asked for; 0 asks for none."""

    name: str
    profile: str
    payload: bytes
    rate_min: int = 0


CASES = [
    Case("JSON, 8 fields", f"payload: {{format: json}}{FIELDS}", orjson.dumps(READING), 300_000),
    Case(
        "frame of 16 bytes",
        LAYOUT,
        struct.pack(">BBhHHHHI", 1, 0x31, 2200, 300, 4000, 3300, 7, 1767225600),
        150_000,
    ),
    Case(
        "MessagePack, 8 fields",
        f"payload: {{format: messagepack}}{FIELDS}",
        msgpack.encode(READING),
    ),
    Case(
        "CSV, 8 values",
        f"payload: {{format: csv, columns: {json.dumps(list(READING))}}}\n",
        ",".join(map(str, READING.values())).encode(),
    ),
    Case("number", "payload: {format: number, name: t}\n", b"21.5"),
]


def run(plan: Plan) -> Report:
    """Decode the same payload over and over, in rounds of all cases."""
    count = PAYLOADS_QUICK if plan.is_quick else PAYLOADS
    decoders = {
        case.name: parse_profile(
            f'version: 1\nprofile: p\ntopics: ["a/{{device}}"]\n{case.profile}'
        ).decoder_named("p")
        for case in CASES
    }
    rates: dict[str, list[float]] = {case.name: [] for case in CASES}
    for _ in range(plan.rounds):
        for case in CASES:
            rates[case.name].append(rate_of(decoders[case.name], case.payload, count))
    middle = {name: statistics.median(own) for name, own in rates.items()}
    return Report(
        "decode",
        f"{count:,} payloads; CPU time of one core; medians of {plan.rounds}",
        ("payload", "bytes", "payloads/s", "us a payload"),
        rows=[
            (
                case.name,
                str(len(case.payload)),
                f"{middle[case.name]:,.0f}",
                f"{1e6 / middle[case.name]:.2f}",
            )
            for case in CASES
        ],
        targets=[
            Target(
                f"{case.name}: >= {case.rate_min:,}/s",
                f"{middle[case.name]:,.0f}/s",
                middle[case.name] >= case.rate_min,
            )
            for case in CASES
            if case.rate_min
        ],
    )


def rate_of(decode: Decode, payload: bytes, count: int) -> float:
    """Payloads a second of CPU time."""
    begun_s = time.process_time()
    for _ in range(count):
        decode(payload)
    return count / (time.process_time() - begun_s)
