"""Updates over the air at work, and what commands of this machine may ask of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.devices import (
    Campaign,
    CampaignState,
    Image,
    OtaOptions,
    UpdateRefused,
    shown_campaign,
)
from gateway.errors import ChangeRefused
from gateway.pipeline.devices.loop import Around, ServiceLoop
from gateway.pipeline.devices.ota import OtaService, Tell
from gateway.pipeline.devices.turns import Turn
from gateway.store import BlobStore

Request = Callable[..., Awaitable[Any]]
STATES: Mapping[str, CampaignState] = {
    "paused": "paused",
    "running": "running",
    "aborted": "aborted",
}


class OtaDesk:
    """The service with its loop; `requests` are what the gateway's socket answers, by name."""

    def __init__(
        self, around: Around, blobs: BlobStore, tell: Tell, options: OtaOptions | None = None
    ) -> None:
        self.service = OtaService(blobs, tell, options)
        self.loop = ServiceLoop(self.service, around)
        self.requests: Mapping[str, Request] = {
            "ota.add-image": self.add_image,
            "ota.remove-image": self.remove_image,
            "ota.start": self.start_campaign,
            "ota.change": self.change_campaign,
            "ota.forget": self.forget_campaign,
        }

    def start(self) -> asyncio.Task[None]:
        """Set the service to work; the task lasts as long as it does."""
        return asyncio.create_task(self.loop.run(), name=self.service.group)

    async def add_image(self, wanted: bytes) -> dict[str, Any]:
        """Know an image, as `Image` in MessagePack says, whose blob is there.

        Raises:
            ChangeRefused: it can't be so.
        """
        image = _decoded(wanted, Image, "an image")

        async def act(turn: Turn) -> Image:
            return await self.service.add_image(
                msgspec.structs.replace(image, added_ms=turn.now_ms), turn
            )

        return {"image": (await self.loop.ask(act)).id}

    async def remove_image(self, image_id: str) -> dict[str, Any]:
        """Forget an image.

        Raises:
            ChangeRefused: there is none.
        """

        async def act(turn: Turn) -> None:
            await self.service.remove_image(image_id, turn)

        await self.loop.ask(act)
        return {"image": image_id}

    async def start_campaign(self, wanted: bytes, image_id: str) -> dict[str, Any]:
        """Begin a campaign, as `Campaign` in MessagePack says, with an image.

        Raises:
            ChangeRefused: it can't be so.
        """
        campaign = _decoded(wanted, Campaign, "a campaign")

        async def act(turn: Turn) -> Campaign:
            return await self.service.start(campaign, image_id, turn)

        return dict(shown_campaign(await self.loop.ask(act)))

    async def change_campaign(self, campaign_id: str, state: str) -> dict[str, Any]:
        """Pause, resume or abort a campaign.

        Raises:
            ChangeRefused: it isn't one that could.
        """

        async def act(turn: Turn) -> Campaign:
            if state not in STATES:
                raise UpdateRefused(f"a campaign can't be {state!r}")
            return await self.service.change(campaign_id, STATES[state], turn)

        return dict(shown_campaign(await self.loop.ask(act)))

    async def forget_campaign(self, campaign_id: str) -> dict[str, Any]:
        """Remove a campaign that is over.

        Raises:
            ChangeRefused: there is none, or it isn't over.
        """

        async def act(turn: Turn) -> None:
            await self.service.forget(campaign_id, turn)

        await self.loop.ask(act)
        return {"campaign": campaign_id}


def _decoded(content: bytes, kind: type[Any], name: str) -> Any:
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ChangeRefused(f"not {name}: {error}") from None
