"""What is on its way to the log, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.events import Run
from gateway.routing import Route
from gateway.server.repeats import Identity
from gateway.session import Appended, AppendRefused, SessionState
from gateway.store import Put


class Routes(Protocol):
    """What resolves topics: the router, or the permit of a client that may not publish to all."""

    def routes_of(self, topics: Sequence[bytes]) -> list[Route]: ...


class Publisher(Protocol):
    """Where acknowledgements go: a connection.

    `permit` says which topics it may publish to; None leaves it to the router.
    """

    @property
    def permit(self) -> Routes | None: ...

    def perform(self, incoming: Appended | AppendRefused) -> None: ...

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        ...

    def resume(self) -> None: ...


@dataclass(slots=True)
class Submission:
    """One thing on its way to the log: a client's batch, or a session state alone.

    `state` is saved in the same commit; `on_durable` is called after it. A submission without a
    publisher is never refused, only tried again.
    """

    publisher: Publisher | None = None
    packet_ids: Sequence[bytes] = ()
    received_ids: Sequence[bytes] = ()
    runs: list[Run] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    size_bytes: int = 0
    wants_receipt: bool = False
    identities: list[Identity] = field(default_factory=list)
    state: SessionState | None = None
    on_durable: Callable[[], None] | None = None
    number: int = 0
    client_id: str = ""


def split_control(submissions: Sequence[Submission]) -> tuple[list[Submission], list[Submission]]:
    """Part what changes tables alone, and may go before the rest, from the rest.

    A client's state stays behind records of that client, since it says what was received; so does
    what changes an entry that a record before it changes.
    """
    clients = {run.client for one in submissions for run in one.runs}
    places = {(put.table, put.key) for one in submissions if one.runs for put in one.puts}
    control: list[Submission] = []
    others: list[Submission] = []
    for one in submissions:
        is_free = not one.runs and one.publisher is None
        if one.state is not None and one.state.client_id in clients:
            is_free = False
        if any((put.table, put.key) in places for put in one.puts):
            is_free = False
        (control if is_free else others).append(one)
    return control, others


def joined(earlier: Appended, later: Appended) -> Appended:
    """Two answers to one publisher as one."""
    return Appended(
        [*earlier.packet_ids, *later.packet_ids], [*earlier.received_ids, *later.received_ids]
    )
