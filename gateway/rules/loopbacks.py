"""Rules that feed rules, without a log between them: for tests, rehearsals and replays."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.events import Origin, RecordBatch, Run
from gateway.rules.engine import Engine
from gateway.rules.outputs import RULES_CLIENT, Derived, Output


class Loopback:
    """Feeds an engine, and what it emits back to it, as the log would.

    Batches of the streams in `streams` that come from elsewhere are left out: they hold what was
    emitted by the rules of then.
    """

    def __init__(self, engine: Engine, streams: Collection[str]) -> None:
        self._engine = engine
        self._streams = frozenset(streams)
        self._next_offsets = dict.fromkeys(streams, 0)

    def feed(self, batches: Iterable[RecordBatch]) -> list[Output]:
        """Take in the next records; returns what they cause, and what that causes, in order."""
        found: list[Output] = []
        for batch in batches:
            if batch.stream in self._streams:
                continue
            waiting = self._engine.feed([batch])
            while waiting:
                found += waiting
                waiting = self._engine.feed(self._batches_of(waiting, batch.commit_no))
        return found

    def _batches_of(self, outputs: Iterable[Output], commit_no: int) -> list[RecordBatch]:
        """What the log would give back of the outputs: a batch for each stream, by its name."""
        runs: dict[str, list[Run]] = {}
        for output in outputs:
            if isinstance(output, Derived) and output.stream in self._streams:
                runs.setdefault(output.stream, []).append(run_of(output))
        batches = []
        for stream in sorted(runs):
            offset = self._next_offsets[stream]
            batches.append(RecordBatch(stream, 0, offset, commit_no, runs[stream]))
            self._next_offsets[stream] = batches[-1].next_offset
        return batches


def run_of(output: Derived) -> Run:
    """A derived record as the log holds it, but for its MQTT properties."""
    origin = Origin(output.topic, output.device)
    return Run(
        output.stream, 0, RULES_CLIENT, output.detected_ms, [origin], [output.payload], bytes(1)
    )
