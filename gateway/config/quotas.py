"""Reads what `limits:` says of single clients: how much each may publish, and when two fight."""

from __future__ import annotations

from typing import get_args

from gateway.documents import Section
from gateway.server import BeyondRate, FlappingOptions, QuotaOptions

# A bucket counts in thousandths, and a rate beyond these is none.
MESSAGES_PER_S_MAX = 10_000_000
BYTES_PER_S_MAX = 100 << 30


def read_quota(limits: Section, default: QuotaOptions) -> QuotaOptions:
    """How much one client may publish; a rate of 0 is no limit."""
    beyond = limits.choice("client_beyond", get_args(BeyondRate), default.beyond)
    return QuotaOptions(
        messages_per_s=limits.integer(
            "client_message_rate", default.messages_per_s, least=0, most=MESSAGES_PER_S_MAX
        ),
        bytes_per_s=limits.size_bytes(
            "client_byte_rate", default.bytes_per_s, least=0, most=BYTES_PER_S_MAX
        ),
        burst_ms=limits.duration_ms("client_burst", default.burst_ms, least=1, most=3_600_000),
        beyond=beyond,  # type: ignore[arg-type] # it is one of get_args(BeyondRate)
    )


def read_flapping(limits: Section, default: FlappingOptions) -> FlappingOptions:
    """When clients that fight over one identifier are told and slowed down."""
    section = limits.section("flapping")
    if section is None:
        return default
    options = FlappingOptions(
        takeovers_max=section.integer("takeovers", default.takeovers_max, least=1, most=10_000),
        within_ms=section.duration_ms("within", default.within_ms, least=1_000),
        delay_ms=section.duration_ms("delay", default.delay_ms, least=1, most=60_000),
    )
    section.finish()
    return options
