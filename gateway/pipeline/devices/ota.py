"""The service that brings firmware to devices: campaigns, offers, and chunks on demand."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from gateway.devices import (
    CAMPAIGNS_MAX,
    CAMPAIGNS_TABLE,
    DEVICES_TABLE,
    IMAGES_MAX,
    IMAGES_TABLE,
    OFFERS_TABLE,
    OTA,
    OTA_STREAM,
    QUESTIONS_STREAM,
    UPDATE_OVER,
    UPDATES_TABLE,
    Campaign,
    CampaignState,
    ChunkPacing,
    ChunkWish,
    Course,
    DeviceInvalid,
    DeviceQuery,
    Image,
    OtaOptions,
    Step,
    Update,
    UpdateRefused,
    UpdateStatus,
    campaign_holder,
    campaign_payload,
    campaign_topic,
    changed_state,
    check_campaign,
    check_image,
    chunk_topic,
    counted,
    decode_campaign,
    decode_device,
    decode_image,
    decode_update,
    encode_campaign,
    encode_image,
    encode_update,
    error_topic,
    image_holder,
    key_of_update,
    noted,
    offer_payload,
    offer_topic,
    read_chunk_wish,
    read_status,
    refusal_payload,
    service_topic,
    settled,
    staged,
)
from gateway.events import Record
from gateway.pipeline.devices.turns import Turn
from gateway.store import BlobStore, StreamStore, holder_put, holder_removal

LOG = logging.getLogger(__name__)
STEPS_AT_ONCE = 200
CHUNKS_AT_ONCE = 64
WILDCARDS = frozenset("*?[")
Tell = Callable[[str, bytes], None]
"""Says something to whoever listens to a topic now; it is kept nowhere."""


class OtaService:
    """Every campaign, and the requests of devices for bytes of their images."""

    group = "device-updates"
    streams = (OTA_STREAM, QUESTIONS_STREAM)

    def __init__(self, blobs: BlobStore, tell: Tell, options: OtaOptions | None = None) -> None:
        self._blobs = blobs
        self._tell = tell
        self._pacing = ChunkPacing(options or OtaOptions())
        self._courses: dict[str, Course] = {}
        self._known: set[str] = set()
        self._forgotten: deque[tuple[str, str]] = deque()
        self._store: StreamStore | None = None
        self.chunks_sent = 0

    # -- what every service does

    async def begin(self, store: StreamStore) -> None:
        """Find the campaigns, and what each has yet to do."""
        self._store = store
        self._courses.clear()
        offers = await store.entries(OFFERS_TABLE)
        for campaign_id, encoded in await store.entries(CAMPAIGNS_TABLE):
            self._known.add(campaign_id)
            campaign = readable(campaign_id, encoded)
            if campaign is None:
                continue
            course = Course(campaign)
            own = {device for device, name in offers if name.decode() == campaign_id}
            if campaign.is_active or own:
                self._courses[campaign_id] = course
                await self._resume_course(course, own)

    async def _resume_course(self, course: Course, offered: set[str]) -> None:
        campaign = course.campaign
        enlisted: list[str] = []
        for device, update in await self._updates(campaign.id):
            enlisted.append(device)
            course.enlist(device, update, is_on_offer=device in offered)
        if campaign.state == "preparing":
            course.plan(await self._stages(campaign), enlisted)

    async def _updates(self, campaign_id: str) -> list[tuple[str, Update]]:
        assert self._store is not None  # noqa: S101 - the loop begins before anything else
        prefix = key_of_update(campaign_id, "")
        return [
            (key.removeprefix(prefix), decode_update(encoded) or Update(state="failed"))
            for key, encoded in await self._store.entries(UPDATES_TABLE, prefix)
        ]

    async def _stages(self, campaign: Campaign) -> list[list[str]]:
        return staged(campaign.id, campaign.stages, await self._find(campaign.query))

    async def _find(self, query: DeviceQuery) -> list[str]:
        """The devices that a query means: of the registry, and those that it calls by name."""
        assert self._store is not None  # noqa: S101 - the loop begins before anything else
        found: dict[str, bool] = {}
        for count, (device, encoded) in enumerate(await self._store.entries(DEVICES_TABLE)):
            try:
                found[device] = query.matches(decode_device(encoded))
            except DeviceInvalid:
                found[device] = False
            if count % 1_000 == 0:
                await asyncio.sleep(0)
        if not (query.profile or query.tags):
            # Where nobody is registered, devices can be named all the same.
            for name in query.ids:
                if not WILDCARDS & set(name):
                    found.setdefault(name, True)
        return [device for device, is_meant in found.items() if is_meant]

    def due_ms(self) -> int | None:
        """Now, as long as a campaign has something to do; else when the next chunk may go."""
        if self._forgotten or any(course.has_work for course in self._courses.values()):
            return 0
        return self._pacing.due_ms()

    async def wake(self, turn: Turn) -> None:
        """Send chunks, and take some steps of the campaigns."""
        for device, wish in self._pacing.take(turn.now_ms, CHUNKS_AT_ONCE):
            await self._send(device, wish, turn)
        left = STEPS_AT_ONCE
        for course in list(self._courses.values()):
            left -= await self._advance(course, turn, left)
        while self._forgotten and left > 0:
            table, key = self._forgotten.popleft()
            turn.put(table, key, None)
            if table == CAMPAIGNS_TABLE:
                self._known.discard(key)
            left -= 1

    async def welcome(self, device: str, turn: Turn) -> None:
        """What is on offer is retained: who comes back hears of it anyway."""

    def close(self) -> None:
        """Nobody waits for it."""

    async def take(self, record: Record, turn: Turn) -> None:
        """Decide about what a device has published."""
        asked = service_topic(record.topic)
        if asked is None or asked.root != OTA:
            return
        if asked.verb == "get":
            await self._take_wish(asked.device, asked.rest, record.payload, turn)
        elif asked.verb == "status" and not asked.rest:
            await self._take_status(asked.device, read_status(record.payload), turn)

    # -- chunks

    async def _take_wish(self, device: str, rest: str, payload: bytes, turn: Turn) -> None:
        campaign = await self._on_offer(device, turn)
        wish = (
            "nothing is on offer" if campaign is None else read_chunk_wish(rest, payload, campaign)
        )
        if isinstance(wish, str):
            self._tell(error_topic(device), refusal_payload(wish, rest))
        else:
            self._pacing.add(device, wish, turn.now_ms)

    async def _on_offer(self, device: str, turn: Turn) -> Campaign | None:
        name = await turn.get(OFFERS_TABLE, device)
        course = None if name is None else self._courses.get(name.decode())
        return None if course is None or course.campaign.state != "running" else course.campaign

    async def _send(self, device: str, wish: ChunkWish, turn: Turn) -> None:
        campaign = await self._on_offer(device, turn)
        if campaign is None:
            return
        piece = await asyncio.to_thread(self._blobs.read, campaign.image.sha256, *wish)
        if piece is None or len(piece) < wish.size_bytes:
            LOG.error("the blob of image '%s' is gone or damaged", campaign.image.id)
            self._change_state(campaign, "halted", turn, "the image can't be read")
            return
        self.chunks_sent += 1
        self._tell(chunk_topic(device, wish.offset), piece)

    # -- what becomes of devices

    async def _take_status(self, device: str, status: UpdateStatus | None, turn: Turn) -> None:
        if status is None or status.campaign not in self._known:
            return
        key = key_of_update(status.campaign, device)
        update = decode_update(await turn.get(UPDATES_TABLE, key))
        after = None if update is None else noted(update, status, turn.now_ms)
        if update is None or after is None:
            return
        turn.put(UPDATES_TABLE, key, encode_update(after))
        if after.state in UPDATE_OVER:
            await self._withdraw(status.campaign, device, turn)
        if after.state != update.state:
            campaign = await self._campaign(status.campaign, turn)
            if campaign is not None:
                self._move(campaign, [(update.state, after.state)], turn)

    async def _withdraw(self, campaign_id: str, device: str, turn: Turn) -> None:
        """Take an offer back, if it is still that of this campaign."""
        if campaign_id in self._courses:
            self._courses[campaign_id].drop(device)
        if await turn.get(OFFERS_TABLE, device) == campaign_id.encode():
            turn.put(OFFERS_TABLE, device, None)
            turn.say(offer_topic(device), b"", retain=True)

    async def _campaign(self, campaign_id: str, turn: Turn) -> Campaign | None:
        course = self._courses.get(campaign_id)
        if course is not None:
            return course.campaign
        return readable(campaign_id, await turn.get(CAMPAIGNS_TABLE, campaign_id))

    def _move(self, campaign: Campaign, moves: Sequence[tuple[str, str]], turn: Turn) -> Campaign:
        """Count what devices have done, and let the campaign follow."""
        after = settled(counted(campaign, moves), turn.now_ms)
        return self._keep(campaign, after, turn)

    def _keep(self, before: Campaign, campaign: Campaign, turn: Turn) -> Campaign:
        """Write a campaign down; whoever listens hears of a new state or stage."""
        turn.put(CAMPAIGNS_TABLE, campaign.id, encode_campaign(campaign))
        if (before.state, before.stage) != (campaign.state, campaign.stage):
            turn.say(campaign_topic(campaign.id), campaign_payload(campaign), retain=True)
        course = self._courses.get(campaign.id)
        if course is not None:
            course.campaign = campaign
            if course.is_over:
                self._end(course, turn)
        return campaign

    def _end(self, course: Course, turn: Turn) -> None:
        campaign = course.campaign
        del self._courses[campaign.id]
        turn.put(*holder_removal(campaign.image.sha256, campaign_holder(campaign.id)))

    # -- the steps of a campaign

    async def _advance(self, course: Course, turn: Turn, at_most: int) -> int:
        """Take some steps; returns how many."""
        campaign = course.campaign
        moves: list[tuple[str, str]] = []
        count = 0
        while count < at_most and (step := course.next_step()) is not None:
            moves += await self._take_step(campaign, step, turn)
            count += 1
        if campaign.state == "preparing" and count < at_most:
            ready = changed_state(counted(campaign, moves), "running", turn.now_ms)
            self._move(self._keep(campaign, ready, turn), [], turn)
        elif moves:
            self._move(campaign, moves, turn)
        elif course.is_over and campaign.id in self._courses:
            self._end(course, turn)
        return count

    async def _take_step(
        self, campaign: Campaign, step: Step, turn: Turn
    ) -> Iterable[tuple[str, str]]:
        """Do it; returns from which state to which the device goes."""
        key = key_of_update(campaign.id, step.device)
        if step.deed == "enlist":
            update = Update(step.stage, changed_ms=turn.now_ms)
            turn.put(UPDATES_TABLE, key, encode_update(update))
            self._courses[campaign.id].enlist(step.device, update)
            return [("", update.state)]
        if step.deed == "withdraw":
            await self._take_back(campaign.id, step.device, turn)
            return []
        update = decode_update(await turn.get(UPDATES_TABLE, key)) or Update()
        if update.state in UPDATE_OVER:
            return []
        other = await turn.get(OFFERS_TABLE, step.device)
        if other is not None and other != campaign.id.encode():
            after = msgspec.structs.replace(
                update, state="skipped", reason=f"in campaign '{other.decode()}'"
            )
        else:
            after = msgspec.structs.replace(update, state="offered")
            turn.put(OFFERS_TABLE, step.device, campaign.id.encode())
            turn.say(offer_topic(step.device), offer_payload(campaign), retain=True)
            self._courses[campaign.id].on_offer.add(step.device)
        after = msgspec.structs.replace(after, changed_ms=turn.now_ms)
        turn.put(UPDATES_TABLE, key, encode_update(after))
        return [(update.state, after.state)]

    async def _take_back(self, campaign_id: str, device: str, turn: Turn) -> None:
        if await turn.get(OFFERS_TABLE, device) == campaign_id.encode():
            turn.put(OFFERS_TABLE, device, None)
            turn.say(offer_topic(device), b"", retain=True)

    # -- what people ask for

    async def add_image(self, image: Image, turn: Turn) -> Image:
        """Know an image whose bytes are a blob already.

        Raises:
            UpdateRefused: it can't be so, it is known with other bytes, or there are too many.
        """
        check_image(image)
        assert self._store is not None  # noqa: S101 - the loop begins before anything else
        known = await turn.get(IMAGES_TABLE, image.id)
        if known is not None and decode_image(known).sha256 != image.sha256:
            raise UpdateRefused(f"'{image.id}' has other bytes; a new image needs a new version")
        if known is None and len(await self._store.entries(IMAGES_TABLE)) >= IMAGES_MAX:
            raise UpdateRefused(f"there are {IMAGES_MAX} images already; remove some")
        if await asyncio.to_thread(self._blobs.prove, image.sha256) != image.size_bytes:
            raise UpdateRefused(f"there is no blob {image.sha256} of {image.size_bytes} bytes")
        turn.put(IMAGES_TABLE, image.id, encode_image(image))
        turn.put(*holder_put(image.sha256, image_holder(image.id)))
        return image

    async def remove_image(self, image_id: str, turn: Turn) -> None:
        """Forget an image; campaigns that have begun keep theirs.

        Raises:
            UpdateRefused: there is no such image.
        """
        encoded = await turn.get(IMAGES_TABLE, image_id)
        if encoded is None:
            raise UpdateRefused(f"there is no image '{image_id}'")
        turn.put(IMAGES_TABLE, image_id, None)
        turn.put(*holder_removal(decode_image(encoded).sha256, image_holder(image_id)))

    async def start(self, wanted: Campaign, image_id: str, turn: Turn) -> Campaign:
        """Begin a campaign; what it says of its image counts nothing.

        Raises:
            UpdateRefused: it can't be so, it is known already, or no device is meant.
        """
        encoded = await turn.get(IMAGES_TABLE, image_id)
        if encoded is None:
            raise UpdateRefused(f"there is no image '{image_id}'; see 'ota images'")
        campaign = msgspec.structs.replace(
            wanted, image=decode_image(encoded), created_ms=turn.now_ms, changed_ms=turn.now_ms
        )
        check_campaign(campaign)
        if campaign.id in self._known:
            raise UpdateRefused(f"there is a campaign '{campaign.id}' already")
        if len(self._known) >= CAMPAIGNS_MAX:
            raise UpdateRefused(f"there are {CAMPAIGNS_MAX} campaigns; forget some")
        stages = await self._stages(campaign)
        if not any(stages):
            raise UpdateRefused("no active device of the registry is meant")
        campaign = msgspec.structs.replace(campaign, stage_sizes=tuple(map(len, stages)))
        course = self._courses[campaign.id] = Course(campaign)
        course.plan(stages)
        self._known.add(campaign.id)
        turn.put(*holder_put(campaign.image.sha256, campaign_holder(campaign.id)))
        turn.put(CAMPAIGNS_TABLE, campaign.id, encode_campaign(campaign))
        turn.say(campaign_topic(campaign.id), campaign_payload(campaign), retain=True)
        return campaign

    async def change(self, campaign_id: str, state: CampaignState, turn: Turn) -> Campaign:
        """Pause, resume or abort a campaign.

        Raises:
            UpdateRefused: there is no such campaign, or it isn't one that could.
        """
        course = self._courses.get(campaign_id)
        current = None if course is None else course.campaign.state
        possible = {
            "paused": ("running",),
            "running": ("paused", "halted"),
            "aborted": ("preparing", "running", "paused", "halted"),
        }
        if course is None or current not in possible[state]:
            told = f"it is {current or 'over, or unknown'}"
            raise UpdateRefused(f"campaign '{campaign_id}' can't be {state}: {told}")
        return self._change_state(course.campaign, state, turn, "")

    def _change_state(
        self, campaign: Campaign, state: CampaignState, turn: Turn, reason: str
    ) -> Campaign:
        return self._keep(campaign, changed_state(campaign, state, turn.now_ms, reason), turn)

    async def forget(self, campaign_id: str, turn: Turn) -> None:
        """Remove a campaign that is over, with what its devices said.

        Raises:
            UpdateRefused: there is none, or it isn't over.
        """
        if campaign_id not in self._known:
            raise UpdateRefused(f"there is no campaign '{campaign_id}'")
        if campaign_id in self._courses:
            raise UpdateRefused(f"campaign '{campaign_id}' isn't over; abort it first")
        for device, _ in await self._updates(campaign_id):
            self._forgotten.append((UPDATES_TABLE, key_of_update(campaign_id, device)))
        # Its own entry goes last: what a crash leaves can be forgotten once more.
        self._forgotten.append((CAMPAIGNS_TABLE, campaign_id))
        turn.say(campaign_topic(campaign_id), b"", retain=True)


def readable(campaign_id: str, encoded: bytes | None) -> Campaign | None:
    """A campaign from its entry; None when there is none, or nobody can read it."""
    try:
        return None if encoded is None else decode_campaign(encoded)
    except UpdateRefused as error:
        LOG.warning("campaign '%s': %s", campaign_id, error)
        return None
