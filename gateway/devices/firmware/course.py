"""What a campaign has yet to do: whom to write down, to whom to offer, from whom to withdraw."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from gateway.devices.firmware.campaign import UPDATE_OVER, Campaign, Update

Deed = Literal["enlist", "offer", "withdraw"]


class Step(NamedTuple):
    """One thing to be done for one device."""

    deed: Deed
    device: str
    stage: int = 0


class Course:
    """A campaign at work; it remembers its devices that have not come to an end."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.on_offer: set[str] = set()
        self._unlisted: deque[Step] = deque()
        self._pending: list[deque[str]] = [deque() for _ in campaign.stages]
        self._withdrawn: dict[str, None] = {}

    @property
    def has_work(self) -> bool:
        """Whether there is a next step."""
        if self.campaign.state == "preparing":
            return True
        if self.campaign.state != "running":
            return bool(self.on_offer)
        return bool(self._withdrawn) or any(self._pending[: self.campaign.stage + 1])

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done, ever."""
        return not (self.campaign.is_active or self.on_offer)

    def plan(self, stages: Sequence[Iterable[str]], enlisted: Iterable[str] = ()) -> None:
        """Have the devices of each stage written down, but for those that are."""
        known = set(enlisted)
        for stage, devices in enumerate(stages):
            fresh = (one for one in devices if one not in known)
            self._unlisted.extend(Step("enlist", device, stage) for device in fresh)

    def enlist(self, device: str, update: Update, *, is_on_offer: bool = False) -> None:
        """Know of a device that is written down."""
        if is_on_offer:
            self.on_offer.add(device)
        elif update.state == "pending":
            self._pending[min(update.stage, len(self._pending) - 1)].append(device)
        elif update.state not in UPDATE_OVER:
            self._withdrawn[device] = None

    def next_step(self) -> Step | None:
        """The next thing to be done, which is taken to be done; None when there is none."""
        if self.campaign.state == "preparing":
            return self._unlisted.popleft() if self._unlisted else None
        if self.campaign.state != "running":
            if not self.on_offer:
                return None
            device = self.on_offer.pop()
            if self.campaign.is_active:
                self._withdrawn[device] = None
            return Step("withdraw", device)
        if self._withdrawn:
            device = next(iter(self._withdrawn))
            del self._withdrawn[device]
            return Step("offer", device)
        for pending in self._pending[: self.campaign.stage + 1]:
            if pending:
                return Step("offer", pending.popleft())
        return None

    def drop(self, device: str) -> None:
        """A device has come to an end."""
        self.on_offer.discard(device)
        self._withdrawn.pop(device, None)
