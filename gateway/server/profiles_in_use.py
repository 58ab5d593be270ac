"""The profiles as the server uses them: whose topics, which checks, rights, quotas and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.devices import DeviceTopics, ProfileBook
from gateway.server.audit import Incident
from gateway.server.mqtt_server import MqttServer
from gateway.server.payload_checks import PayloadChecks
from gateway.server.spilling import ClaimLimits


class ProfilesInUse:
    """Takes the profiles over, at the start and whenever they have changed."""

    def __init__(
        self,
        server: MqttServer,
        book: ProfileBook,
        topics_of: Callable[[ProfileBook], Sequence[str]],
        limits_of: Callable[[ProfileBook], ClaimLimits],
    ) -> None:
        """`topics_of` are all templates that name devices, `limits_of` says what becomes a blob."""
        self._server = server
        self._book = book
        self._topics_of = topics_of
        self._limits_of = limits_of
        server.hub.gate.profiles = book
        book.watch(self.renew)
        self._check()

    def renew(self) -> None:
        """Do everything as the profiles say by now."""
        server, ingest = self._server, self._server.ingest
        ingest.router.rename(DeviceTopics(self._topics_of(self._book)).device_of)
        if ingest.spilling is not None:
            ingest.spilling.renew(self._limits_of(self._book))
        self._check()
        server.hub.gate.look_again_at_all()

    def tell_invalid(self, message: str) -> None:
        """Let the audit tell that changed profiles were not taken over, and why."""
        incident = Incident("profiles-invalid", "profiles", "", reason=message)
        self._server.hub.gate.audit.note(incident)

    def _check(self) -> None:
        """Look at payloads before they are stored only where a profile may refuse them."""
        is_needed = any(profile.checks_on_ingest for profile in self._book.profiles)
        self._server.ingest.payload_checks = PayloadChecks(self._book) if is_needed else None
