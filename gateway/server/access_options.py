"""Who gets in, and what they may do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.devices import ROLES, CertificateName, Role

Anonymous = Literal["auto", "loopback", "never"]
Credentials = Literal["auto", "required"]
DeniedPublish = Literal["drop", "close"]
DoubtfulClock = Literal["accept", "refuse"]


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """How clients prove who they are, and what happens when they can't.

    Unless `credentials` are required, everything is allowed while nobody has any. `anonymous`
    clients of this machine get in until then (`auto`), always, or never. 3.1.1 can't say that a
    message is refused: `denied_publish` drops it, or closes the connection. After `failures_max`
    wrong credentials of one host within `failures_within_ms`, refusals are delayed. What one device
    publishes by all its clients is bounded by how many it may have. From one host
    `enrolments_per_minute_max` devices may come in a minute that an enrolment group makes known,
    and all in all `applicants_max` clients may be here that ask for it. While the gateway doesn't
    know the time, a token is judged by what the clock shows, which is late if it is wrong
    (`doubtful_clock`), or refused.
    """

    credentials: Credentials = "auto"
    anonymous: Anonymous = "auto"
    certificate_name: CertificateName = "cn"
    denied_publish: DeniedPublish = "drop"
    roles: Mapping[str, Role] = field(default_factory=lambda: ROLES)
    failures_max: int = 5
    failures_within_ms: int = 60_000
    refusal_delay_ms: int = 2_000
    audit_per_s_max: int = 50
    connections_per_device_max: int = 10
    enrolments_per_minute_max: int = 120
    applicants_max: int = 1_000
    doubtful_clock: DoubtfulClock = "accept"

    @property
    def are_required(self) -> bool:
        """Whether nobody from elsewhere gets in without credentials, though nobody has any yet."""
        return self.credentials == "required"
