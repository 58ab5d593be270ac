"""Who a client is by what an enrolment group vouches for: a claim, a token or its authority.

Nothing waits here and nothing changes: a newcomer is made known by `gateway.server.enrolling`.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.clock import Clock
from gateway.devices import (
    Device,
    EnrolmentGroup,
    EnrolmentRefused,
    GroupBook,
    Registry,
    Token,
    check_newcomer,
    check_vouched,
    has_key,
    matching_key,
    newcomer,
    signer_of,
)
from gateway.errors import MqttError
from gateway.mqtt import ReasonCode
from gateway.server.access_options import AccessOptions
from gateway.server.permits import CLAIM, Proof
from gateway.session import OpenState

WRONG = "wrong user name or key"
CLAIM_PREFIX = "enrol/"


class NotAdmitted(MqttError):
    """A client may not connect; `is_guess` when its credentials are wrong, not its behaviour."""

    def __init__(self, reason_code: ReasonCode, reason: str, *, is_guess: bool = False) -> None:
        super().__init__(reason, reason_code)
        self.is_guess = is_guess


class Shown(NamedTuple):
    """A device, and how a client has shown to be it; without a proof, its password decides.

    A newcomer is not registered yet.
    """

    device: Device
    proof: Proof | None
    is_newcomer: bool = False


def wrong_credentials() -> NotAdmitted:
    """One refusal for all that is wrong: whether there is such a device is nobody's business."""
    return NotAdmitted(ReasonCode.BAD_USER_NAME_OR_PASSWORD, WRONG, is_guess=True)


class Vouching:
    """Asks the groups about clients that they may vouch for."""

    def __init__(
        self, registry: Registry, groups: GroupBook, options: AccessOptions, clock: Clock
    ) -> None:
        self._registry = registry
        self._groups = groups
        self._options = options
        self._clock = clock

    def by_claim(self, wish: OpenState, group_name: str) -> Shown:
        """An applicant, which shows a group's key and names the id that it wants to be.

        Raises:
            NotAdmitted: it may not even ask.
        """
        group = self._group(group_name, "claim")
        keys = () if group is None else [key.key for key in group.keys]
        key = matching_key(keys, wish.password or b"")
        if group is None or key is None:
            raise wrong_credentials()
        if not wish.is_clean or wish.expiry_ms or wish.will_topic:
            reason = "who enrols has a clean session, which ends with the connection, and no will"
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, reason)
        try:
            before = self._newcomer_of(group, wish.client_id)
        except EnrolmentRefused as error:
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, str(error)) from error
        device = before or newcomer(group, wish.client_id, self._clock.now_ms())
        return Shown(device, Proof(CLAIM, group=group.id, sign=key.sha256))

    def by_token(self, wish: OpenState, token: Token) -> Shown:
        """A device that shows a token.

        Raises:
            NotAdmitted: the token is wrong or over, or not for this device.
        """
        group = self._group(token.group, "token")
        key = None if group is None else signer_of(group, token)
        if group is None or key is None or wish.username != token.device:
            raise wrong_credentials()
        if self._options.doubtful_clock == "refuse" and not self._clock.is_right():
            reason = "the gateway does not know the time yet, so it can't judge a token"
            raise NotAdmitted(ReasonCode.SERVER_UNAVAILABLE, reason)
        if self._clock.now_ms() >= token.expires_ms:
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, "the token has expired")
        proof = Proof("token", group=group.id, sign=key.sha256, expires_ms=token.expires_ms)
        return self._vouched(group, token.device, proof)

    def by_authority(self, group: EnrolmentGroup, name: str, sign: bytes) -> Shown:
        """A device whose certificate a group's authority has signed.

        Raises:
            NotAdmitted: the authority doesn't count for this device.
        """
        return self._vouched(group, name, Proof("certificate", group=group.id, sign=sign))

    def _group(self, name: str, kind: str) -> EnrolmentGroup | None:
        group = self._groups.get(name)
        return group if group is not None and group.kind == kind else None

    def _newcomer_of(self, group: EnrolmentGroup, device_id: str) -> Device | None:
        return check_newcomer(group, device_id, self._registry, self._clock.now_ms())

    def _vouched(self, group: EnrolmentGroup, name: str, proof: Proof) -> Shown:
        """The device of that name, known or new."""
        device = self._registry.get(name)
        try:
            if device is None:
                self._newcomer_of(group, name)
                made = newcomer(group, name, self._clock.now_ms())
                return Shown(made, proof, is_newcomer=True)
            check_vouched(group, name)
        except EnrolmentRefused as error:
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, str(error)) from error
        if device.group != group.id:
            reason = f"'{name}' is none of the group '{group.id}'"
            raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, reason)
        return Shown(device, proof)


def why_not_vouched(group: EnrolmentGroup | None, proof: Proof) -> str:
    """Why what a client has shown counts no more; empty if it does, or no group vouches for it."""
    if not proof.group:
        return ""
    if group is None or group.status != "active":
        return f"the group '{proof.group}' was revoked"
    if proof.sign not in {key.sha256 for key in group.keys} | set(group.authorities):
        return f"the key of the group '{group.id}' was revoked"
    return ""


def why_out(device: Device | None, proof: Proof) -> str:
    """Why a client that was let in may not stay; empty if it may."""
    if device is None:
        return "the device was removed"
    reasons = (
        (device.status != "active", f"the device is {device.status}"),
        (
            bool(proof.group) and device.group != proof.group,
            f"the device is none of the group '{proof.group}' any more",
        ),
        (proof.key is not None and not has_key(device, proof.key), "the key was revoked"),
        (proof.kind == "password" and not device.password, "the password was removed"),
        (
            proof.kind == "certificate" and not device.has_certificate,
            "the certificate counts no more",
        ),
    )
    return next((reason for is_so, reason in reasons if is_so), "")
