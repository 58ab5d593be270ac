"""A device's update over the air: ask for chunks, resume, verify, install, roll back; sans-IO.

Theory of operation. An offer starts a download of one chunk at a time: what is missing is asked for
again after a while, ever more slowly. The flash holds the campaign and what has arrived, so that a
loss of power costs the chunk under way and no more. The whole image is compared with its digest,
and its signature with the scenario's key; then the device goes off to install it, and comes up with
the new firmware or, by chance, the old one. A campaign that came to an end is not begun again.
The image itself is not kept, only what its digest needs: thousands of devices share a machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum, auto
from importlib.util import find_spec

import orjson

from firmware_sim.chance import derive_key, draw_unit
from firmware_sim.services.deeds import Ask, Deed, Restart, Tell
from firmware_sim.services.offers import Offer, read_offer
from firmware_sim.services.spec import UpdatesSpec

ASK_AGAIN_MS = 5_000
ASK_AGAIN_MOST_MS = 60_000
REPORTS = 4
CRYPTOGRAPHY_MISSING = "checking signatures needs the library 'cryptography'"


class Stage(Enum):
    """Where an update stands."""

    IDLE = auto()
    DOWNLOADING = auto()
    INSTALLING = auto()


class Update:
    """The firmware of one device, and its way to the next one."""

    def __init__(
        self, spec: UpdatesSpec, device: str, key: int, count: Callable[[str], None]
    ) -> None:
        self.spec = spec
        self.version = spec.version
        self.stage = Stage.IDLE
        self._device = device
        self._key = key
        self._count = count
        self._offer: Offer | None = None
        self._ended: Offer | None = None
        self._digest = hashlib.sha256()
        self._offset = 0
        self._asked_ms: int | None = None
        self._asked_times = 0

    @property
    def next_due_ms(self) -> int | None:
        """When a chunk that doesn't come is asked for again."""
        if self._asked_ms is None:
            return None
        return self._asked_ms + min(ASK_AGAIN_MS << min(self._asked_times, 6), ASK_AGAIN_MOST_MS)

    def filters(self) -> list[str]:
        """What to subscribe to."""
        return [f"ota/{self._device}/offer", f"ota/{self._device}/chunk/+"]

    def lost(self) -> None:
        """The connection is gone: nobody will answer what was asked."""
        self._asked_ms = None

    def hear_offer(self, payload: bytes, message: object, now_ms: int) -> list[Deed]:
        """Take what is on offer: begin, resume, or drop what is not on offer any more."""
        offer = read_offer(message)
        if self.stage is Stage.INSTALLING or (offer is not None and offer == self._ended):
            return []
        if offer is None:
            if payload:
                self._count("not_understood")
            self._forget()
            return []
        if offer == self._offer:
            self._count("updates_resumed")
            return self._ask(now_ms)
        self._forget()
        self.stage, self._offer = Stage.DOWNLOADING, offer
        self._count("updates_begun")
        return [self._status("downloading"), *self._ask(now_ms)]

    def hear_chunk(self, offset: int, chunk: bytes, now_ms: int) -> list[Deed]:
        """Take a chunk if it is the next one; anything else was asked for twice."""
        offer = self._offer
        if (
            offer is None
            or self.stage is not Stage.DOWNLOADING
            or offset != self._offset
            or not chunk
            or offset + len(chunk) > offer.size
        ):
            self._count("chunks_ignored")
            return []
        self._digest.update(chunk)
        before, self._offset = self._offset, offset + len(chunk)
        self._asked_ms, self._asked_times = None, 0
        if self._offset == offer.size:
            return self._verify(offer)
        deeds = self._ask(now_ms)
        if before * REPORTS // offer.size < self._offset * REPORTS // offer.size:
            deeds.append(self._status("downloading"))
        return deeds

    def advance(self, now_ms: int) -> list[Deed]:
        """Ask again for what has not come."""
        due_ms = self.next_due_ms
        if due_ms is None or due_ms > now_ms:
            return []
        self._count("chunks_asked_again")
        self._asked_times += 1
        return self._ask(now_ms)

    def booted(self) -> list[Deed]:
        """The device comes up: what was being installed runs now, or does not."""
        offer = self._offer
        if self.stage is not Stage.INSTALLING or offer is None:
            return []
        if self._draw(offer, "boot") < self.spec.rolls_back:
            return self._end(offer, "rolled_back", "the new firmware did not come up")
        self.version = offer.version
        return self._end(offer, "installed")

    def _ask(self, now_ms: int) -> list[Deed]:
        offer = self._offer
        if offer is None:
            return []
        self._asked_ms = now_ms
        wanted = min(offer.chunk, offer.size - self._offset)
        return [Ask(f"ota/{self._device}/get/{self._offset}", b"%d" % wanted)]

    def _verify(self, offer: Offer) -> list[Deed]:
        verifying = self._status("verifying")
        digest = self._digest.digest()
        if digest.hex() != offer.sha256:
            return [verifying, *self._end(offer, "failed", "the digest differs")]
        public_key = self.spec.public_key
        if public_key is not None and not _is_signed(public_key, offer.signature, digest):
            return [verifying, *self._end(offer, "failed", "the signature is not right")]
        if self._draw(offer, "flash") < self.spec.fails:
            return [verifying, *self._end(offer, "failed", "the flash can't be written")]
        self.stage = Stage.INSTALLING
        return [verifying, Restart(self.spec.install_ms)]

    def _end(self, offer: Offer, state: str, reason: str | None = None) -> list[Deed]:
        status = self._status(state, reason)
        self._count(f"updates_{state}")
        self._forget()
        self._ended = offer
        return [status]

    def _forget(self) -> None:
        self.stage, self._offer = Stage.IDLE, None
        self._digest = hashlib.sha256()
        self._offset = 0
        self._asked_ms, self._asked_times = None, 0

    def _draw(self, offer: Offer, purpose: str) -> float:
        return draw_unit(derive_key(self._key, offer.campaign, offer.version, purpose))

    def _status(self, state: str, reason: str | None = None) -> Tell:
        assert self._offer is not None  # noqa: S101 - there is none only when nothing goes on
        status = {
            "campaign": self._offer.campaign,
            "state": state,
            "progress": round(self._offset / self._offer.size, 3),
            "reason": reason,
            "version": self._offer.version,
        }
        return Tell(f"ota/{self._device}/status", orjson.dumps(status), "update_told")


def can_check_signatures() -> bool:
    """Whether the library is here that `public_key` needs."""
    return find_spec("cryptography") is not None


def _is_signed(public_key: bytes, signature: bytes | None, digest: bytes) -> bool:
    """Whether the owner of the key has signed this digest."""
    # Loaded by those who check signatures, and by nobody else.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, digest)
    except InvalidSignature:
        return False
    return True
