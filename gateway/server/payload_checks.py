"""Payloads that are looked at before they are stored, because their profile refuses wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.devices import Decode, PayloadInvalid, Profile, ProfileBook, Undecodable
from gateway.errors import MqttError
from gateway.mqtt import ReasonCode
from gateway.routing import Route

TOPICS_MAX = 65_536
REJECT = "reject"


class PayloadRefused(MqttError):
    """A payload is not what the profile of its topic says, and the profile refuses such ones.

    Spec: MQTT5 §3.4.2.1, §3.5.2.1 (Payload format invalid)
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, ReasonCode.PAYLOAD_FORMAT_INVALID)


class PayloadChecks:
    """Decodes the payloads of those topics whose profile says `reject`, and no others."""

    def __init__(self, book: ProfileBook) -> None:
        self._book = book
        self._checks_by_topic: dict[str, tuple[Profile, Decode] | None] = {}

    def check(self, routes: Sequence[Route], payloads: Sequence[bytes]) -> None:
        """Look at a batch.

        Raises:
            PayloadRefused: one payload is not to be stored.
        """
        known = self._checks_by_topic
        for route, payload in zip(routes, payloads, strict=True):
            topic = route.origin.topic
            found = known[topic] if topic in known else self._find(topic)
            if found is not None:
                refuse_wrong(*found, payload)

    def _find(self, topic: str) -> tuple[Profile, Decode] | None:
        if len(self._checks_by_topic) >= TOPICS_MAX:
            self._checks_by_topic.clear()
        profile = self._book.profile_of(topic)
        found = None
        if profile is not None and profile.checks_on_ingest:
            found = (profile, self._book.decoder_named(profile.name))
        self._checks_by_topic[topic] = found
        return found


def refuse_wrong(profile: Profile, decode: Decode, payload: bytes) -> None:
    """Raise PayloadRefused for a payload that its profile refuses."""
    try:
        decode(payload)
    except PayloadInvalid as error:
        if profile.invalid == REJECT:
            raise PayloadRefused(str(error)) from None
    except Undecodable as error:
        if profile.undecodable == REJECT:
            raise PayloadRefused(str(error)) from None
