"""The service that hands commands to devices, waits for their answers, and tells what became."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from gateway.devices import (
    COMMAND,
    COMMANDS_STREAM,
    COMMANDS_TABLE,
    ENDED,
    QUEUES_TABLE,
    RECENT_MAX,
    RECENT_TABLE,
    REPLY_ROOT,
    Command,
    CommandRefused,
    ServiceTopic,
    Wanted,
    answered,
    check_command_id,
    check_device_id,
    decode_command,
    decode_queue,
    decode_recent,
    dequeued,
    encode_command,
    encode_queue,
    encode_recent,
    ended,
    enqueued,
    event_payload,
    event_topic,
    key_of_command,
    may_send,
    overdue,
    read_answer,
    read_wanted,
    rejected_payload,
    request_payload,
    request_topic,
    response_topic,
    sent,
    service_topic,
)
from gateway.errors import MqttError, PenstockError, StoreUnavailable
from gateway.events import Record
from gateway.mqtt import Properties, decode_publish_properties
from gateway.pipeline.devices.due_times import DueTimes
from gateway.pipeline.devices.turns import BY_CHARACTERS_MAX, Turn
from gateway.store import StreamStore

PENDING_TOTAL_MAX = 100_000
ID_SHOWN_MAX = 128


class CommandService:
    """Keeps the commands of each device in order, and each of them once."""

    group = "device-commands"
    streams = (COMMANDS_STREAM,)

    def __init__(self, is_heard: Callable[[str, str], bool]) -> None:
        """Ask `is_heard` whether somebody listens for a device."""
        self._is_heard = is_heard
        self._due = DueTimes()
        self._waiting: dict[tuple[str, str], set[asyncio.Future[Command]]] = {}

    async def begin(self, store: StreamStore) -> None:
        """Find what is pending, and when it is due."""
        self._due = DueTimes()
        for device, encoded in await store.entries(QUEUES_TABLE):
            for command_id in decode_queue(encoded).ids:
                found = await store.entry(COMMANDS_TABLE, key_of_command(device, command_id))
                command = decode_command(found)
                self._due.set((device, command_id), 0 if command is None else command.due_ms)

    def due_ms(self) -> int | None:
        """When the first of the pending commands is over."""
        return self._due.next_ms()

    async def wake(self, turn: Turn) -> None:
        """End what has waited too long."""
        for device, command_id in self._due.take(turn.now_ms):
            command = await _find(turn, device, command_id)
            if command is None:
                await _drop(turn, device, command_id)
            elif command.is_pending:
                await self._end(turn, overdue(command, turn.now_ms))

    async def take(self, record: Record, turn: Turn) -> None:
        """Decide about what a device or an application has published."""
        asked = service_topic(record.topic)
        if asked is None or asked.root != COMMAND:
            return
        match asked.verb:
            case "send":
                await self._take_wish(asked, record, turn)
            case "cancel":
                command = await _find(turn, asked.device, asked.rest)
                if command is not None and command.is_pending:
                    await self._end(turn, ended(command, "cancelled", turn.now_ms))
            case "response":
                await self._take_answer(asked, record, turn)

    async def _take_wish(self, asked: ServiceTopic, record: Record, turn: Turn) -> None:
        device, command_id = asked.device, asked.rest
        properties, by = properties_of(record), record.client[:BY_CHARACTERS_MAX]
        try:
            wanted = read_wanted(record.payload)
            command = new_command(device, command_id, wanted, by, turn.now_ms)
            command = with_requester(command, properties)
            found = await self.send(command, turn)
        except PenstockError as error:
            payload = rejected_payload(device, command_id[:ID_SHOWN_MAX], by, str(error))
            topic = event_topic(device, command_id[:ID_SHOWN_MAX] or "none")
            turn.say(topic, payload, properties=_correlated(properties.correlation_data))
        else:
            if found.state in ENDED:
                _tell(turn, found)

    async def _take_answer(self, asked: ServiceTopic, record: Record, turn: Turn) -> None:
        command = await _find(turn, asked.device, asked.rest)
        if command is not None and command.is_pending and command.sends:
            answer = read_answer(record.payload)
            await self._end(turn, answered(command, *answer, turn.now_ms))

    async def send(self, command: Command, turn: Turn) -> Command:
        """Take a new command; returns it, or the one that has its identifier already.

        Raises:
            CommandRefused: too many are waiting.
        """
        known = await _find(turn, command.device, command.id)
        if known is not None:
            return known
        if len(self._due) >= PENDING_TOTAL_MAX:
            raise CommandRefused(f"{PENDING_TOTAL_MAX} commands wait already, for all devices")
        queue = decode_queue(await turn.get(QUEUES_TABLE, command.device))
        queue = enqueued(queue, command)
        turn.put(QUEUES_TABLE, command.device, encode_queue(queue))
        if self._is_heard(COMMAND, command.device):
            return self._hand_out(turn, command)
        self._keep(turn, command)
        _tell(turn, command)
        return command

    async def welcome(self, device: str, turn: Turn) -> None:
        """Hand a device what waits for it, in order."""
        queue = decode_queue(await turn.get(QUEUES_TABLE, device))
        for command_id in queue.ids:
            command = await _find(turn, device, command_id)
            if command is not None and may_send(command) and command.due_ms > turn.now_ms:
                self._hand_out(turn, command)

    async def cancel(self, device: str, command_id: str, turn: Turn) -> Command:
        """End a command that is pending.

        Raises:
            CommandRefused: there is none, or it has ended.
        """
        command = await _find(turn, device, command_id)
        if command is None or not command.is_pending:
            state = "no such command" if command is None else f"it is {command.state}"
            raise CommandRefused(f"'{command_id}' of '{device}' can't be cancelled: {state}")
        return await self._end(turn, ended(command, "cancelled", turn.now_ms))

    def outcome(self, command: Command) -> asyncio.Future[Command]:
        """A future of what becomes of a command; cancel it to wait no more."""
        future: asyncio.Future[Command] = asyncio.get_running_loop().create_future()
        if not command.is_pending:
            future.set_result(command)
            return future
        place = command.device, command.id
        self._waiting.setdefault(place, set()).add(future)
        future.add_done_callback(lambda done: self._forget(place, done))
        return future

    def close(self) -> None:
        """Tell everybody who waits for an outcome that none will come."""
        for futures in list(self._waiting.values()):
            for future in tuple(futures):
                if not future.done():
                    future.set_exception(StoreUnavailable("the gateway stops"))

    def _forget(self, place: tuple[str, str], future: asyncio.Future[Command]) -> None:
        futures = self._waiting.get(place, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(place, None)

    def _hand_out(self, turn: Turn, command: Command) -> Command:
        command = sent(command, turn.now_ms)
        self._keep(turn, command)
        properties = Properties(
            message_expiry_interval_s=-(-command.wanted.timeout_ms // 1_000),
            response_topic=response_topic(command),
            correlation_data=command.id.encode(),
        )
        turn.say(request_topic(command), request_payload(command), properties=properties)
        _tell(turn, command)
        return command

    def _keep(self, turn: Turn, command: Command) -> None:
        turn.put(
            COMMANDS_TABLE, key_of_command(command.device, command.id), encode_command(command)
        )
        self._due.set((command.device, command.id), command.due_ms)

    async def _end(self, turn: Turn, command: Command) -> Command:
        """Write down what became of a command, and tell everybody who waits for it."""
        device = command.device
        self._due.forget((device, command.id))
        turn.put(COMMANDS_TABLE, key_of_command(device, command.id), encode_command(command))
        queue = dequeued(decode_queue(await turn.get(QUEUES_TABLE, device)), command)
        turn.put(QUEUES_TABLE, device, encode_queue(queue))
        recent = (*decode_recent(await turn.get(RECENT_TABLE, device)), command.id)
        for forgotten in recent[:-RECENT_MAX]:
            turn.put(COMMANDS_TABLE, key_of_command(device, forgotten), None)
        turn.put(RECENT_TABLE, device, encode_recent(recent[-RECENT_MAX:]))
        _tell(turn, command)
        for future in tuple(self._waiting.get((device, command.id), ())):
            if not future.done():
                turn.after(_resolver(future, command))
        return command


async def _drop(turn: Turn, device: str, command_id: str) -> None:
    """Take a command that nobody can read out of its queue."""
    queue = decode_queue(await turn.get(QUEUES_TABLE, device))
    ids = tuple(one for one in queue.ids if one != command_id)
    turn.put(QUEUES_TABLE, device, encode_queue(msgspec.structs.replace(queue, ids=ids)))


def new_command(device: str, command_id: str, wanted: Wanted, by: str, now_ms: int) -> Command:
    """A command that nobody has heard of yet.

    Raises:
        PenstockError: nothing can be called that.
    """
    check_device_id(device)
    check_command_id(command_id)
    size_bytes = len(msgspec.msgpack.encode(wanted))
    return Command(command_id, device, wanted, by, now_ms, size_bytes=size_bytes)


def with_requester(command: Command, properties: Properties) -> Command:
    """The command with what its sender wants to have back, which counts as part of it."""
    topic = properties.response_topic or ""
    topic = topic if topic.startswith(REPLY_ROOT) else ""
    correlation = properties.correlation_data or b""
    size_bytes = command.size_bytes + len(topic) + len(correlation)
    return msgspec.structs.replace(
        command, reply_topic=topic, correlation=correlation, size_bytes=size_bytes
    )


def properties_of(record: Record) -> Properties:
    """What MQTT 5 says beside a message; nothing, if it can't be read."""
    try:
        return decode_publish_properties(record.properties)
    except MqttError:
        return Properties()


def _correlated(correlation: bytes | None) -> Properties | None:
    return Properties(correlation_data=correlation) if correlation else None


def _tell(turn: Turn, command: Command) -> None:
    """Say how a command stands; who asked for it hears of the end at a topic of its own."""
    payload, properties = event_payload(command), _correlated(command.correlation)
    turn.say(event_topic(command.device, command.id), payload, properties=properties)
    if command.reply_topic and not command.is_pending:
        # Where no stream takes the topic, the event must do.
        with contextlib.suppress(MqttError):
            turn.say(command.reply_topic, payload, properties=properties)


def _resolver(future: asyncio.Future[Command], command: Command) -> Callable[[], None]:
    def resolve() -> None:
        if not future.done():
            future.set_result(command)

    return resolve


async def _find(turn: Turn, device: str, command_id: str) -> Command | None:
    return decode_command(await turn.get(COMMANDS_TABLE, key_of_command(device, command_id)))
