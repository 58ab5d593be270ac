"""The account of every reading: what became of it at the device, and how often the log has it.

Plain arithmetic on bytes and counters. Who feeds it: `outbox` through `Account`, `log_reader` and
`witness` through `Ledger.stored`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from zlib import crc32

import orjson

from firmware_sim.latency import LatencyTally

SENT = 0x01
ACKNOWLEDGED = 0x02
REFUSED = 0x04
OVERFLOWED = 0x08
COPIES_MAX = 255
READINGS_MAX = 50_000_000
LATE_MS = 1 << 62
NOWHERE = (-1, LATE_MS)


@dataclass(slots=True)
class Tally:
    """What a whole fleet did so far."""

    taken: int = 0
    published: int = 0
    repeats: int = 0
    acknowledged: int = 0
    refused: int = 0
    overflowed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latency: LatencyTally = field(default_factory=LatencyTally)
    services: Counter[str] = field(default_factory=Counter)
    """What the devices did with their twins, commands and updates."""


class Account:
    """The readings of one device, by sequence number; the journal of its outbox.

    Without `keeps_readings` only the fleet's tally is fed, and nothing grows.
    """

    __slots__ = (
        "_keeps_readings",
        "_sent",
        "altered",
        "copies",
        "digests",
        "disordered",
        "latest",
        "obedience",
        "places",
        "states",
        "tally",
    )

    def __init__(self, tally: Tally, *, keeps_readings: bool) -> None:
        self.tally = tally
        self._keeps_readings = keeps_readings
        self.states = bytearray()
        self.copies = bytearray()
        self.digests = array("I")
        self.places = array("I")
        """Where each reading stands in the order in which they were first sent; 0 is nowhere."""
        self.altered: dict[int, int] = {}
        """The readings that were damaged before they were sent, by the digest of what was."""
        self._sent = 0
        self.latest = 0
        """The last place that the log has shown so far."""
        self.disordered = 0
        self.obedience: Counter[str] = Counter()
        """How often each command was obeyed, by the id of its request."""

    def taken(self, seq: int, payload: bytes, *, is_altered: bool = False) -> None:
        """A reading exists from now on; the first is 0, then 1, and so on.

        `payload` is what will be sent, which is not what was read when it `is_altered`.
        """
        self.tally.taken += 1
        if self._keeps_readings:
            self.states.append(0)
            self.copies.append(0)
            self.digests.append(crc32(payload))
            self.places.append(0)
            if is_altered:
                self.altered[self.digests[seq]] = seq

    def sent(self, seq: int, *, is_repeat: bool) -> None:
        if self._keeps_readings and not self.places[seq]:
            self._sent += 1
            self.places[seq] = self._sent
        if is_repeat:
            self.tally.repeats += 1
        else:
            self.tally.published += 1
            self._mark(seq, SENT)

    def acknowledged(self, seq: int, latency_ms: int) -> None:
        self.tally.acknowledged += 1
        self.tally.latency.add(latency_ms)
        self._mark(seq, ACKNOWLEDGED)

    def refused(self, seq: int) -> None:
        self.tally.refused += 1
        self._mark(seq, REFUSED)

    def overflowed(self, seq: int) -> None:
        self.tally.overflowed += 1
        self._mark(seq, OVERFLOWED)

    def served(self, what: str) -> None:
        self.tally.services[what] += 1

    def obeyed(self, request_id: str, outcome: str) -> None:
        """A request was taken; `outcome` is `obeyed`, `again`, or why it was not obeyed."""
        self.tally.services[f"command_{outcome}"] += 1
        if self._keeps_readings and outcome == "obeyed":
            self.obedience[request_id] += 1

    def _mark(self, seq: int, state: int) -> None:
        if self._keeps_readings:
            self.states[seq] |= state

    def stored(self, seq: int, digest: int) -> bool:
        """The log has this reading (once more); False when no such reading was ever taken."""
        if not 0 <= seq < len(self.states) or self.digests[seq] != digest:
            return False
        if self.copies[seq] == 0:
            self.disordered += self.places[seq] < self.latest
            self.latest = max(self.latest, self.places[seq])
        self.copies[seq] = min(COPIES_MAX, self.copies[seq] + 1)
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The account of a run: each reading `taken` is in exactly one of the next five lines.

    The others compare with the log. `strangers` are records of our topics and of the time of this
    run that no device of it sent, such as one that was changed on its way; `disordered` ones first
    appear in the log after one that their device first sent later. `commands` were obeyed, some
    of them more than once by the same device, which must not be; nor must any message be
    `misdelivered` to a device whose name its topic does not have.
    """

    taken: int
    acknowledged: int
    unacknowledged: int
    refused: int
    buffered: int
    overflowed: int
    stored_once: int
    stored_again: int
    copies: int
    missing: int
    stored_unacknowledged: int
    strangers: int
    disordered: int
    commands: int = 0
    commands_repeated: int = 0
    misdelivered: int = 0

    @property
    def is_good(self) -> bool:
        """Nothing acknowledged is missing, no command was obeyed twice, none went astray."""
        return not (self.missing or self.commands_repeated or self.misdelivered)


class Ledger:
    """Every account of a fleet, found by topic."""

    def __init__(self, *, keeps_readings: bool) -> None:
        self.tally = Tally()
        self.strangers = 0
        self.start_ms = 0
        """When the run began: an older reading in the log is of an earlier run."""
        self._keeps_readings = keeps_readings
        self._accounts_by_topic: dict[str, Account] = {}

    def open_account(self, topic: str) -> Account:
        """The account of the device that publishes to `topic`; no two devices share one."""
        if topic in self._accounts_by_topic:
            raise ValueError(f"two devices publish to {topic!r}")
        account = Account(self.tally, keeps_readings=self._keeps_readings)
        self._accounts_by_topic[topic] = account
        return account

    def stored(self, topic: str, payload: bytes) -> None:
        """The log holds this record."""
        account = self._accounts_by_topic.get(topic)
        if account is None:
            return
        digest = crc32(payload)
        seq, time_ms = _identify(payload)
        seq = account.altered.get(digest, seq)
        if not account.stored(seq, digest) and time_ms >= self.start_ms:
            self.strangers += 1

    def settle(self) -> Verdict:
        """Add everything up."""
        lines: Counter[str] = Counter()
        for account in self._accounts_by_topic.values():
            for (state, copies), count in Counter(
                zip(account.states, account.copies, strict=True)
            ).items():
                for line in _lines(state, copies):
                    lines[line] += count
                lines["copies"] += count * copies
            lines["disordered"] += account.disordered
            lines["commands"] += len(account.obedience)
            lines["commands_repeated"] += sum(count > 1 for count in account.obedience.values())
        return Verdict(
            taken=sum(len(account.states) for account in self._accounts_by_topic.values()),
            acknowledged=lines["acknowledged"],
            unacknowledged=lines["unacknowledged"],
            refused=lines["refused"],
            buffered=lines["buffered"],
            overflowed=lines["overflowed"],
            stored_once=lines["stored_once"],
            stored_again=lines["stored_again"],
            copies=lines["copies"],
            missing=lines["missing"],
            stored_unacknowledged=lines["stored_unacknowledged"],
            strangers=self.strangers,
            disordered=lines["disordered"],
            commands=lines["commands"],
            commands_repeated=lines["commands_repeated"],
            misdelivered=self.tally.services["misdelivered"],
        )


def _lines(state: int, copies: int) -> list[str]:
    """The lines of the verdict that a reading counts in."""
    lines = [_fate(state)]
    if copies == 1:
        lines.append("stored_once")
    elif copies > 1:
        lines.append("stored_again")
    if copies and not state & ACKNOWLEDGED:
        lines.append("stored_unacknowledged")
    if not copies and state & ACKNOWLEDGED:
        lines.append("missing")
    return lines


def _fate(state: int) -> str:
    """What became of a reading at its device: the strongest word that is true of it."""
    for bit, fate in (
        (ACKNOWLEDGED, "acknowledged"),
        (REFUSED, "refused"),
        (OVERFLOWED, "overflowed"),
        (SENT, "unacknowledged"),
    ):
        if state & bit:
            return fate
    return "buffered"


def _identify(payload: bytes) -> tuple[int, int]:
    """The `seq` and `ts` of a payload; the former is -1 and the latter late when it has none."""
    try:
        reading = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return NOWHERE
    if not isinstance(reading, dict):
        return NOWHERE
    seq, time_ms = reading.get("seq"), reading.get("ts", LATE_MS)
    return (seq, time_ms) if type(seq) is int and type(time_ms) is int else NOWHERE
