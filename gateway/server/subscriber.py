"""A connected client as a reader of the log: at the tail, or catching up with it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.server.seats import Seat
from gateway.server.streaming import Line, ReadPiece, stream_payload
from gateway.session import (
    Delivery,
    Outgoing,
    Position,
    Session,
    SessionState,
    Streamed,
    Terms,
)

Slot = tuple[str, int]
HELD_BYTES_MAX = 2 << 20
Save = Callable[[SessionState, Callable[[], None]], None]


class Subscriber:
    """One client's place in the log and what is being sent to it.

    At the tail (`is_live`), the fan-out pushes to it. When its window or its socket is full it
    leaves the tail: `positions` then says where it stands, and its own task reads the log from
    there until it has reached the tail again. Messages of QoS 0 have no place to go back to: while
    the socket takes nothing they are held, the newest up to `held_bytes_max`, and older ones are
    dropped. `replays` are the subscriptions that are still being
    served history, each with the positions that it has reached. `is_dirty` says that the saved
    state is behind. While a payload is streamed from a blob, the client takes nothing else.
    """

    def __init__(
        self,
        session: Session,
        write: Callable[[bytes], None],
        save: Save,
        held_bytes_max: int = HELD_BYTES_MAX,
    ) -> None:
        self.client_id = session.client_id
        self.state: SessionState = session.state
        self.delivery = Delivery(
            session.state,
            session.version,
            session.in_flight_max,
            session.packet_bytes_max,
            session.topic_alias_maximum,
        )
        self.is_live = True
        self.live = asyncio.Event()
        self.live.set()
        self.is_clogged = False
        self.is_dirty = False
        self.positions: dict[Slot, int] = {}
        self.replays: dict[str, dict[Slot, int]] = {}
        self.replaying: dict[str, asyncio.Task[None]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._write = write
        self._save = save
        self._room = asyncio.Event()
        self.seat: Seat | None = None
        """Where it reads the log, while it catches up."""
        self.abort: Callable[[], object] = lambda: None
        self.line: Line | None = None
        self.read_piece: ReadPiece | None = None
        self._streamed: Streamed | None = None
        self._is_full = False
        self.may_read: Callable[[str], bool] | None = None
        self.on_room: list[Callable[[], object]] = []
        self._unsaved: list[list[bytes]] = []
        self._held: deque[bytes] | None = None
        self._held_bytes = 0
        self._held_bytes_max = held_bytes_max

    def flush(self) -> None:
        """Write everything that waits in the outbox; behind what has to be saved first."""
        delivery = self.delivery
        outbox = delivery.outbox
        if not outbox or self._streamed is not None:
            return
        delivery.outbox = []
        self.is_dirty = True
        if delivery.must_save:
            delivery.must_save = False
            self._unsaved.append(outbox)
            self._save(self.state, self._write_saved)
        elif self._unsaved:
            self._unsaved[-1] += outbox
        else:
            self._write(b"".join(outbox))

    def _write_saved(self) -> None:
        self._write(b"".join(self._unsaved.pop(0)))
        if self._streamed is not None and not self._unsaved:
            self._stream_behind(self._streamed)

    def offer(
        self, message: Outgoing, terms: Terms, position: Position, *, is_retained: bool = False
    ) -> bool:
        """Do as `Delivery.offer`; what is streamed is on its way at once, and clogs the client."""
        if not isinstance(message, Streamed):
            return self.delivery.offer(message, terms, position, is_retained=is_retained)
        if self._streamed is not None:
            return False
        self.flush()
        if not self.delivery.offer(message, terms, position, is_retained=is_retained):
            return False
        self._begin_stream(message)
        return True

    def repeat(self, message: Outgoing, terms: Terms, packet_id: bytes, qos: int) -> None:
        """Do as `Delivery.repeat`, once the client takes something."""
        if isinstance(message, Streamed):
            self.flush()
        self.delivery.repeat(message, terms, packet_id, qos)
        if isinstance(message, Streamed):
            self._begin_stream(message)

    def _begin_stream(self, message: Streamed) -> None:
        """Write the head that is in the outbox, and then the payload."""
        if not self.delivery.outbox:
            # It was more than the client takes.
            return
        self.flush()
        self.is_clogged = True
        self._streamed = message
        if not self._unsaved:
            self._stream_behind(message)

    def _stream_behind(self, message: Streamed) -> None:
        # Not a part of the task that offered it: half a packet can't be taken back.
        self.start(asyncio.ensure_future(self._stream(message)))
        if self.line is not None:
            self.line.hold_back()

    async def _stream(self, message: Streamed) -> None:
        if self.line is None or self.read_piece is None:
            self.abort()
            return
        if not await stream_payload(self.line, self.read_piece, message, self._drained):
            self.abort()
            return
        self._streamed = None
        self.line.let_go()
        if not self._is_full:
            self.unclog()

    async def _drained(self) -> None:
        while self._is_full:
            self._room.clear()
            await self._room.wait()

    def hold(self, message: Outgoing, terms: Terms, position: Position) -> None:
        """Keep a message of QoS 0 until the socket takes bytes again, at the cost of older ones."""
        packet = self.delivery.packet_to_hold(message, terms, position)
        if not packet:
            return
        held = self._held = deque() if self._held is None else self._held
        held.append(packet)
        self._held_bytes += len(packet)
        while self._held_bytes > self._held_bytes_max:
            self._held_bytes -= len(held.popleft())
            self.delivery.dropped += 1

    def miss(self) -> None:
        """A message that this client was owed had expired before it could be sent."""
        self.state.tally.owed += 1
        self.state.tally.expired += 1

    def _release_held(self) -> None:
        if self._held is not None:
            self.delivery.outbox[:0] = self._held
            self._held = None
            self._held_bytes = 0
            self.flush()

    def leave_tail(self) -> None:
        """Read the log by itself from now on."""
        self.is_live = False
        self.live.clear()

    def rejoin(self) -> None:
        """Be at the tail from now on."""
        self.is_live = True
        self.live.set()

    def clog(self) -> None:
        """The socket takes no more."""
        self._is_full = self.is_clogged = True

    @property
    def can_take(self) -> bool:
        """Whether a QoS 1 or 2 message may be sent now."""
        return self.delivery.has_room and not self.is_clogged

    def unclog(self) -> None:
        """The socket takes bytes again."""
        self._is_full = False
        if self._streamed is not None:
            self._room.set()
            return
        self.is_clogged = False
        # Older than whatever the log still has for this client.
        self._release_held()
        self._tell_room()

    def resume(self) -> None:
        """The client acknowledged something."""
        self.is_dirty = True
        self._tell_room()

    def _tell_room(self) -> None:
        self._room.set()
        for tell in self.on_room:
            tell()

    async def wait_for_room(self) -> None:
        """Return when the window and the socket can take another message."""
        if self.seat is not None:
            self.seat.give_back()
        while not self.can_take:
            self._room.clear()
            await self._room.wait()

    async def wait_to_repeat(self) -> None:
        """Return when one more of what an earlier connection left may be sent again."""
        while self.is_clogged or not self.delivery.has_room_to_repeat:
            self.flush()
            self._room.clear()
            await self._room.wait()

    def start(self, task: asyncio.Task[None]) -> None:
        """Let a task work for this client until it is done or the client leaves."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def leave(self) -> None:
        """Stop everything that works for this client; the connection is over."""
        for task in list(self.tasks):
            task.cancel()
