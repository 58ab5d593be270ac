"""Campaigns: an image on its way to the devices that a query finds, stage by stage.

Theory of operation. A campaign is `preparing` while its devices are written down, then `running`.
Each stage adds devices, by percentage; the next begins when enough of those so far have installed
the image. More failures than allowed among those to whom it was offered halt it. It is `done` when
every device has come to an end. While it is `paused`, `halted` or `aborted`, nothing is on offer.
A device is in one running campaign at a time; in a second one it is `skipped`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from gateway.devices.firmware.image import Image, UpdateRefused, check_word
from gateway.devices.registry import DEVICE_ROLE, Device

CAMPAIGNS_TABLE: Final = "ota-campaigns"
UPDATES_TABLE: Final = "ota-updates"
OFFERS_TABLE: Final = "ota-offers"
CAMPAIGNS_MAX: Final = 200
STAGES_MAX: Final = 20
CHUNK_BYTES: Final = 4_096
CHUNK_BYTES_LEAST: Final = 64
CHUNK_BYTES_MOST: Final = 64 << 10
WHOLE: Final = 100
PROGRESS_STEP: Final = 0.01
REASON_CHARACTERS_MAX: Final = 256

CampaignState = Literal["preparing", "running", "paused", "halted", "done", "aborted"]
UpdateState = Literal[
    "pending",
    "offered",
    "downloading",
    "verifying",
    "installed",
    "failed",
    "rolled_back",
    "skipped",
]
REPORTED: Final = ("downloading", "verifying", "installed", "failed", "rolled_back")
"""What a device may say of itself."""
UPDATE_OVER: Final = frozenset({"installed", "failed", "rolled_back", "skipped"})
FAILURES: Final = ("failed", "rolled_back")
STANDING: Final = frozenset({"paused", "halted"})
ENDED: Final = frozenset({"done", "aborted"})


class DeviceQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which devices of the registry: all that fit every part that is said."""

    ids: tuple[str, ...] = ()
    profile: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict)

    def matches(self, device: Device) -> bool:
        """Whether an active device is meant; of the patterns of ids one must fit."""
        return (
            device.status == "active"
            and device.role == DEVICE_ROLE
            and (not self.ids or any(fnmatchcase(device.id, pattern) for pattern in self.ids))
            and (not self.profile or device.profile == self.profile)
            and all(device.tags.get(name) == text for name, text in self.tags.items())
        )


class Campaign(msgspec.Struct, frozen=True, omit_defaults=True):
    """A campaign as the table keeps it.

    `stages` are percentages of all devices, growing to 100. `stage_sizes` counts the devices of
    each stage, `counts` those in each state. `forgiven` failures happened before somebody resumed.
    """

    id: str
    image: Image
    query: DeviceQuery
    stages: tuple[int, ...] = (WHOLE,)
    failures_percent: int = 10
    advance_percent: int = 90
    chunk_bytes: int = CHUNK_BYTES
    state: CampaignState = "preparing"
    stage: int = 0
    stage_sizes: tuple[int, ...] = ()
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    forgiven: int = 0
    reason: str = ""
    created_ms: int = 0
    changed_ms: int = 0
    by: str = ""

    @property
    def is_active(self) -> bool:
        """Whether something may still become of it."""
        return self.state not in ENDED

    def count(self, *states: str) -> int:
        """How many of its devices are in one of these states."""
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def reached(self) -> int:
        """How many devices belong to the stages so far, without those that were skipped."""
        return max(sum(self.stage_sizes[: self.stage + 1]) - self.count("skipped"), 0)


class Update(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the update of one device stands within a campaign."""

    stage: int = 0
    state: UpdateState = "pending"
    progress: float = 0
    reason: str = ""
    version: str = ""
    changed_ms: int = 0


class UpdateStatus(msgspec.Struct, frozen=True):
    """What a device says of its update."""

    campaign: str
    state: Literal["downloading", "verifying", "installed", "failed", "rolled_back"]
    progress: float | None = None
    reason: str | None = None
    version: str | None = None


def check_campaign(campaign: Campaign) -> None:
    """See that a campaign is one that may be.

    Raises:
        UpdateRefused: it isn't; says what is wrong.
    """
    check_word("campaign", campaign.id)
    stages = campaign.stages
    is_growing = all(before < after for before, after in zip((0, *stages), stages, strict=False))
    if not stages or len(stages) > STAGES_MAX or not is_growing or stages[-1] != WHOLE:
        raise UpdateRefused("stages are growing percentages, the last of them 100: 5,25,100")
    if not 0 <= campaign.failures_percent <= WHOLE:
        raise UpdateRefused("the failures that halt a campaign are 0 to 100 percent")
    if not 1 <= campaign.advance_percent <= WHOLE:
        raise UpdateRefused("the devices that open the next stage are 1 to 100 percent")
    if not CHUNK_BYTES_LEAST <= campaign.chunk_bytes <= CHUNK_BYTES_MOST:
        raise UpdateRefused(f"a chunk has {CHUNK_BYTES_LEAST} to {CHUNK_BYTES_MOST} bytes")


def staged(campaign_id: str, stages: Sequence[int], devices: Sequence[str]) -> list[list[str]]:
    """The devices of each stage, in an order that nobody chooses; each percentage rounded up."""
    drawn = sorted(devices, key=lambda one: (_lot(campaign_id, one), one))
    found: list[list[str]] = []
    start = 0
    for percent in stages:
        stop = max(start, -(-len(drawn) * percent // WHOLE))
        found.append(drawn[start:stop])
        start = stop
    return found


def _lot(campaign_id: str, device: str) -> bytes:
    return hashlib.sha256(f"{campaign_id}\n{device}".encode()).digest()


def counted(campaign: Campaign, moves: Sequence[tuple[str, str]]) -> Campaign:
    """The campaign after some of its devices went from one state to another; from '' if new."""
    counts = dict(campaign.counts)
    for before, after in moves:
        if before:
            counts[before] = counts.get(before, 0) - 1
        counts[after] = counts.get(after, 0) + 1
    return msgspec.structs.replace(
        campaign, counts={state: count for state, count in counts.items() if count}
    )


def settled(campaign: Campaign, now_ms: int) -> Campaign:
    """The campaign as its counts demand: halted, in its next stage, done, or as it was."""
    if campaign.state != "running":
        return campaign
    failures = campaign.count(*FAILURES) - campaign.forgiven
    if failures * WHOLE > campaign.failures_percent * campaign.reached:
        reason = f"{failures} of {campaign.reached} devices failed"
        return changed_state(campaign, "halted", now_ms, reason)
    if not campaign.count("pending", "offered", "downloading", "verifying"):
        return changed_state(campaign, "done", now_ms)
    is_last = campaign.stage + 1 >= len(campaign.stages)
    is_enough = campaign.count("installed") * WHOLE >= campaign.advance_percent * campaign.reached
    if not is_last and is_enough:
        return settled(
            msgspec.structs.replace(campaign, stage=campaign.stage + 1, changed_ms=now_ms), now_ms
        )
    if campaign.count("installed", *FAILURES) >= campaign.reached:
        reason = f"only {campaign.count('installed')} of {campaign.reached} devices installed it"
        return changed_state(campaign, "halted", now_ms, reason)
    return campaign


def changed_state(
    campaign: Campaign, state: CampaignState, now_ms: int, reason: str = ""
) -> Campaign:
    """The campaign in another state; one that goes on forgives the failures so far."""
    forgiven = campaign.count(*FAILURES) if state == "running" else campaign.forgiven
    return msgspec.structs.replace(
        campaign, state=state, reason=reason, changed_ms=now_ms, forgiven=forgiven
    )


def noted(update: Update, status: UpdateStatus, now_ms: int) -> Update | None:
    """The update after what its device says; None when that changes nothing.

    What is over stays as it is, but an installed image may yet be rolled back.
    """
    is_rollback = update.state == "installed" and status.state == "rolled_back"
    if (update.state in UPDATE_OVER or update.state == "pending") and not is_rollback:
        return None
    progress = min(max(status.progress or 0, 0), 1)
    if status.state == update.state and abs(progress - update.progress) < PROGRESS_STEP:
        return None
    return Update(
        update.stage,
        status.state,
        progress,
        (status.reason or "")[:REASON_CHARACTERS_MAX],
        (status.version or "")[:REASON_CHARACTERS_MAX],
        now_ms,
    )


def encode_campaign(campaign: Campaign) -> bytes:
    """A campaign as the table keeps it."""
    return msgspec.msgpack.encode(campaign)


def decode_campaign(encoded: bytes) -> Campaign:
    """Read back what `encode_campaign` made.

    Raises:
        UpdateRefused: it is something else.
    """
    try:
        return msgspec.msgpack.decode(encoded, type=Campaign)
    except msgspec.DecodeError as error:
        raise UpdateRefused(f"an entry of the campaigns can't be read: {error}") from error


def encode_update(update: Update) -> bytes:
    """An update as the table keeps it."""
    return msgspec.msgpack.encode(update)


def decode_update(encoded: bytes | None) -> Update | None:
    """Read back what `encode_update` made; None for anything else."""
    if encoded is None:
        return None
    try:
        return msgspec.msgpack.decode(encoded, type=Update)
    except msgspec.DecodeError:
        return None


def key_of_update(campaign_id: str, device: str) -> str:
    """Where the update of a device lies in its table."""
    return f"{campaign_id}/{device}"


def campaign_holder(campaign_id: str) -> str:
    """How a campaign is called among those who refer to blobs."""
    return f"ota-campaign/{campaign_id}"


def shown_campaign(campaign: Campaign) -> Mapping[str, object]:
    """A campaign for programs."""
    return {
        "campaign": campaign.id,
        "image": campaign.image.id,
        "sha256": campaign.image.sha256,
        "size_bytes": campaign.image.size_bytes,
        "state": campaign.state,
        "reason": campaign.reason or None,
        "stage": campaign.stage + 1,
        "stages": list(campaign.stages),
        "devices": sum(campaign.stage_sizes),
        "counts": campaign.counts,
        "failures_percent": campaign.failures_percent,
        "advance_percent": campaign.advance_percent,
        "chunk_bytes": campaign.chunk_bytes,
        "created_ms": campaign.created_ms,
        "changed_ms": campaign.changed_ms,
        "by": campaign.by,
    }
