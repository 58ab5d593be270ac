"""What the rules are to do: all that whoever runs them must be told, in any process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.store import StreamSpec

DEFAULT = EvaluationOptions()


class RouteRow(msgspec.Struct, frozen=True, array_like=True):
    """Which topics a stream takes, and how many partitions it has."""

    stream: str
    topic_filters: tuple[str, ...]
    partitions: int


@dataclass(frozen=True, slots=True)
class RulesJob:
    """Where rules, profiles and log lie, what is read, and where what they say is stored.

    `streams` are those that the rules read without naming them; `client_streams` take messages of
    clients, so no rule may emit into them.
    """

    data_dir: str
    rules_path: str
    profiles_path: str | None
    reload_ms: int
    streams: tuple[str, ...]
    client_streams: tuple[str, ...]
    routes: tuple[RouteRow, ...]
    device_topics: tuple[str, ...]
    kept_rules: Mapping[str, str] = field(default_factory=dict)
    """The rule files that were right last, by path, for a worker that finds them wrong."""
    derived: StreamSpec = field(default_factory=lambda: StreamSpec("derived", partitions=1))
    derived_by_name: Mapping[str, StreamSpec] = field(default_factory=dict)
    checkpoint_records: int = DEFAULT.checkpoint_records
    checkpoint_interval_ms: int = DEFAULT.checkpoint_interval_ms

    def derived_spec(self, name: str) -> StreamSpec:
        """What a derived stream keeps; its one partition keeps the order of the rule."""
        return replace(self.derived_by_name.get(name, self.derived), name=name)


class Outline(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway must know of its rules before it listens."""

    emitted_streams: tuple[str, ...]
    """The derived streams that they write."""


ENCODER = msgspec.msgpack.Encoder()
DECODER = msgspec.msgpack.Decoder(RulesJob)


def encode_job(job: RulesJob) -> bytes:
    """A job as it travels to a worker."""
    return ENCODER.encode(job)


def decode_job(encoded: bytes) -> RulesJob:
    """Read back what `encode_job` made."""
    return DECODER.decode(encoded)


Rows = Sequence[tuple[str, int, int]]
"""Positions as they travel: stream, partition, next offset."""
