"""Who a client is, from what its CONNECT and its certificate show; nothing waits here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.devices import Device, Registry, certificate_name, matching_key
from gateway.errors import MqttError
from gateway.mqtt import ReasonCode
from gateway.server.access_options import AccessOptions
from gateway.server.permits import Proof
from gateway.session import OpenState

WRONG = "wrong user name or key"


class NotAdmitted(MqttError):
    """A client may not connect; `is_guess` when its credentials are wrong, not its behaviour."""

    def __init__(self, reason_code: ReasonCode, reason: str, *, is_guess: bool = False) -> None:
        super().__init__(reason, reason_code)
        self.is_guess = is_guess


class Shown(NamedTuple):
    """A device, and how a client has shown to be it; without a proof, its password decides."""

    device: Device
    proof: Proof | None


class Identifier:
    """Finds the entry of the registry that a client is."""

    def __init__(self, registry: Registry, options: AccessOptions) -> None:
        self._registry = registry
        self._options = options

    def identify(self, wish: OpenState, certificate: Mapping[str, Any] | None) -> Shown | None:
        """Who the client is; None for one that shows nothing.

        Raises:
            NotAdmitted: what it shows is wrong.
        """
        if certificate:
            return self._by_certificate(wish, certificate)
        if wish.username is None and wish.password is None:
            return None
        return self._by_key(wish)

    def _by_certificate(self, wish: OpenState, certificate: Mapping[str, Any]) -> Shown:
        name = certificate_name(certificate, self._options.certificate_name)
        if wish.username is not None and wish.username != name:
            raise NotAdmitted(
                ReasonCode.NOT_AUTHORIZED, f"the certificate is that of '{name}', not of the user"
            )
        device = self._registry.get(name)
        if device is None or not device.has_certificate:
            raise NotAdmitted(
                ReasonCode.NOT_AUTHORIZED, f"no device '{name}' is registered with a certificate"
            )
        return Shown(device, Proof("certificate"))

    def _by_key(self, wish: OpenState) -> Shown:
        device = self._registry.get(wish.username or "")
        if device is None or wish.password is None:
            raise wrong_credentials()
        key = matching_key(device.keys, wish.password)
        if key is not None:
            return Shown(device, Proof("key", key))
        if not device.password:
            raise wrong_credentials()
        return Shown(device, None)


def wrong_credentials() -> NotAdmitted:
    """One refusal for all that is wrong: whether there is such a device is nobody's business."""
    return NotAdmitted(ReasonCode.BAD_USER_NAME_OR_PASSWORD, WRONG, is_guess=True)


def check_admitted(device: Device, wish: OpenState, assigned_client_id: str) -> None:
    """See that somebody who has shown to be a device may connect as this client.

    A client identifier is the device's id, or begins with it and a slash: so nobody takes over the
    session of another device, and several clients of one device are told apart. Who names itself
    nothing has the `assigned_client_id`.

    Raises:
        NotAdmitted: it may not.
    """
    if device.status != "active":
        words = "waits for approval" if device.status == "pending" else "is disabled"
        raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, f"'{device.id}' {words}")
    is_own = wish.client_id in (device.id, assigned_client_id)
    if not is_own and not wish.client_id.startswith(f"{device.id}/"):
        raise NotAdmitted(
            ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
            f"the client identifier must be '{device.id}', or begin with '{device.id}/'",
        )
