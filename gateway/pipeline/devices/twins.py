"""The service that keeps the twins: it takes reports and wishes, and tells devices of changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.devices import (
    QUESTIONS_STREAM,
    TWIN,
    TWINS_STREAM,
    TWINS_TABLE,
    Document,
    DocumentRefused,
    ServiceTopic,
    Side,
    Twin,
    TwinChange,
    TwinEvent,
    changed,
    check_device_id,
    decode_twin,
    delta_payload,
    desired_payload,
    encode_twin,
    error_payload,
    read_object,
    request_text,
    service_topic,
    state_payload,
    told_of,
)
from gateway.errors import PenstockError
from gateway.events import Record
from gateway.pipeline.devices.turns import BY_CHARACTERS_MAX, Turn
from gateway.store import StreamStore

TWINS_MAX = 100_000
COUNTS_TABLE = "device-counts"
TAGS_TABLE = "device-tags"
"""The tags of the registry as the stream `twins` has told of them."""


class TwinService:
    """Keeps one document of each side for each device."""

    group = "device-twins"
    streams = (TWINS_STREAM, QUESTIONS_STREAM)

    def __init__(self, is_heard: Callable[[str, str], bool]) -> None:
        """Ask `is_heard` whether somebody listens for a device."""
        self._is_heard = is_heard

    async def begin(self, store: StreamStore) -> None:
        """Nothing need be known before."""

    def due_ms(self) -> int | None:
        """Time alone changes nothing."""
        return None

    async def wake(self, turn: Turn) -> None:
        """Time alone changes nothing."""

    def close(self) -> None:
        """Nobody waits for it."""

    async def take(self, record: Record, turn: Turn) -> None:
        """Decide about what a device or an application has published."""
        asked = service_topic(record.topic)
        if asked is None or asked.root != TWIN or asked.rest:
            return
        match asked.verb:
            case "reported":
                await self._take_report(asked, record, turn)
            case "set":
                await self._take_wish(asked, record, turn)
            case "get":
                twin = await twin_of(asked.device, turn)
                turn.say(
                    f"{TWIN}/{asked.device}/state",
                    state_payload(twin, request_text(record.payload)),
                )

    async def _take_report(self, asked: ServiceTopic, record: Record, turn: Turn) -> None:
        device, by = asked.device, record.client[:BY_CHARACTERS_MAX]
        try:
            await self.report(device, read_object(record.payload), by, turn)
        except PenstockError as error:
            payload = error_payload(str(error), request_text(record.payload))
            turn.say(f"{TWIN}/{device}/error", payload)

    async def _take_wish(self, asked: ServiceTopic, record: Record, turn: Turn) -> None:
        device, by = asked.device, record.client[:BY_CHARACTERS_MAX]
        try:
            await self.wish(device, read_object(record.payload), by, turn)
        except PenstockError as error:
            payload = error_payload(str(error), request_text(record.payload), by=by)
            turn.say(f"{TWIN}/{device}/refused", payload)

    async def report(self, device: str, patch: Document, by: str, turn: Turn) -> Twin:
        """Take what a device says of itself, as a merge patch.

        Raises:
            TwinConflict: the patch is for another version.
            DocumentRefused: it is beyond a limit.
        """
        before, is_new = await _find(device, turn)
        twin, effect = changed(before, "reported", patch, turn.now_ms)
        if effect:
            if is_new:
                await _check_room(device, turn)
            await _keep(device, twin, turn, is_new=is_new)
            _tell_change(turn, device, "reported", TwinChange(twin, effect), by)
        return twin

    async def wish(
        self, device: str, patch: Document, by: str, turn: Turn, if_version: int | None = None
    ) -> Twin:
        """Take what is wanted of a device, as a merge patch.

        Raises:
            TwinConflict: the patch is for another version.
            DocumentRefused: it is beyond a limit.
        """
        before, is_new = await _find(device, turn)
        twin, effect = changed(before, "desired", patch, turn.now_ms, if_version)
        if not effect:
            return twin
        if is_new:
            await _check_room(device, turn)
        _tell_change(turn, device, "desired", TwinChange(twin, effect), by)
        turn.say(f"{TWIN}/{device}/desired", desired_payload(twin), retain=True)
        if self._is_heard(TWIN, device):
            twin = _tell_delta(device, twin, turn)
        await _keep(device, twin, turn, is_new=is_new)
        return twin

    async def welcome(self, device: str, turn: Turn) -> None:
        """Tell a device that is back what has changed meanwhile, as one."""
        twin = await twin_of(device, turn)
        if twin.told is not None:
            turn.put(TWINS_TABLE, device, encode_twin(_tell_delta(device, twin, turn)))

    async def take_tags(self, device: str, tags: Mapping[str, str], by: str, turn: Turn) -> None:
        """Take the tags of the registry as they are from now on."""
        encoded = await turn.get(TAGS_TABLE, device)
        before: Document = {} if encoded is None else orjson.loads(encoded)
        if before == tags:
            return
        patch: Document = {name: None for name in before if name not in tags}
        patch |= {name: text for name, text in tags.items() if before.get(name) != text}
        turn.put(TAGS_TABLE, device, orjson.dumps(dict(tags)) if tags else None)
        event = TwinEvent("tags", 0, patch, dict(tags), by, turn.now_ms)
        turn.say(f"{TWIN}/{device}/changed", event.encode())

    async def remove(self, device: str, by: str, turn: Turn) -> None:
        """Forget a device that is registered no more."""
        encoded = await turn.get(TWINS_TABLE, device)
        tags = await turn.get(TAGS_TABLE, device)
        if encoded is None and tags is None:
            return
        event = TwinEvent("removed", 0, {}, {}, by, turn.now_ms)
        turn.say(f"{TWIN}/{device}/changed", event.encode())
        turn.put(TAGS_TABLE, device, None)
        if encoded is not None:
            turn.put(TWINS_TABLE, device, None)
            turn.say(f"{TWIN}/{device}/desired", b"", retain=True)
            await _count(turn, -1)


def _tell_change(turn: Turn, device: str, part: Side, change: TwinChange, by: str) -> None:
    """Write the change into the history."""
    twin, effect = change
    is_desired = part == "desired"
    version = twin.desired_version if is_desired else twin.reported_version
    value = twin.desired if is_desired else twin.reported
    event = TwinEvent(part, version, effect, value, by, turn.now_ms)
    turn.say(f"{TWIN}/{device}/changed", event.encode())


def _tell_delta(device: str, twin: Twin, turn: Turn) -> Twin:
    """Tell the device what has changed since it was told last; returns the twin after that."""
    told, delta = told_of(twin)
    if delta:
        turn.say(f"{TWIN}/{device}/delta", delta_payload(told, delta))
    return told


async def _check_room(device: str, turn: Turn) -> None:
    """See that another device may have a twin.

    Raises:
        DeviceInvalid: nothing can be called that.
        DocumentRefused: there are too many twins.
    """
    check_device_id(device)
    if int(await turn.get(COUNTS_TABLE, TWINS_TABLE) or b"0") >= TWINS_MAX:
        raise DocumentRefused(f"there are {TWINS_MAX} twins already, as many as there may be")


async def twin_of(device: str, turn: Turn) -> Twin:
    """The twin of a device; an empty one, if it has none or nobody can read it."""
    return (await _find(device, turn))[0]


async def _find(device: str, turn: Turn) -> tuple[Twin, bool]:
    encoded = await turn.get(TWINS_TABLE, device)
    try:
        return decode_twin(encoded), encoded is None
    except DocumentRefused:
        return Twin(), False


async def _keep(device: str, twin: Twin, turn: Turn, *, is_new: bool) -> None:
    """Write a twin down; a new one counts."""
    turn.put(TWINS_TABLE, device, encode_twin(twin))
    if is_new:
        await _count(turn, 1)


async def _count(turn: Turn, more: int) -> None:
    count = int(await turn.get(COUNTS_TABLE, TWINS_TABLE) or b"0") + more
    turn.put(COUNTS_TABLE, TWINS_TABLE, str(count).encode())


def shown_twin(twin: Twin) -> dict[str, Any]:
    """A twin for programs."""
    return {
        "desired": twin.desired,
        "desired_version": twin.desired_version,
        "reported": twin.reported,
        "reported_version": twin.reported_version,
        "etag": twin.etag,
        "is_told": twin.told is None,
    }
