"""Who a client is, from what its CONNECT and its certificate show; nothing waits here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.devices import (
    TOKEN_START,
    Device,
    EnrolmentGroup,
    Registry,
    certificate_name,
    matching_key,
    parse_token,
)
from gateway.mqtt import ReasonCode
from gateway.server.access_options import AccessOptions
from gateway.server.permits import CLAIM, Proof
from gateway.server.vouching import (
    CLAIM_PREFIX,
    NotAdmitted,
    Shown,
    Vouching,
    wrong_credentials,
)
from gateway.session import OpenState


class Certificate(NamedTuple):
    """What the TLS listener has verified: names, and the group whose authority signed, if any."""

    names: Mapping[str, Any]
    group: EnrolmentGroup | None = None
    sign: bytes = b""


class Identifier:
    """Finds the entry of the registry that a client is."""

    def __init__(self, registry: Registry, options: AccessOptions, vouching: Vouching) -> None:
        self._registry = registry
        self._options = options
        self._vouching = vouching

    def identify(self, wish: OpenState, certificate: Certificate | None) -> Shown | None:
        """Who the client is; None for one that shows nothing.

        Raises:
            NotAdmitted: what it shows is wrong.
        """
        if certificate is not None:
            return self._by_certificate(wish, certificate)
        if wish.username is None and wish.password is None:
            return None
        return self._by_key(wish)

    def _by_certificate(self, wish: OpenState, certificate: Certificate) -> Shown:
        name = certificate_name(certificate.names, self._options.certificate_name)
        if wish.username is not None and wish.username != name:
            raise NotAdmitted(
                ReasonCode.NOT_AUTHORIZED, f"the certificate is that of '{name}', not of the user"
            )
        if certificate.group is not None:
            # What it signs counts for its own devices, whatever else the listener trusts.
            return self._vouching.by_authority(certificate.group, name, certificate.sign)
        device = self._registry.get(name)
        if device is None or not device.has_certificate:
            raise NotAdmitted(
                ReasonCode.NOT_AUTHORIZED, f"no device '{name}' is registered with a certificate"
            )
        return Shown(device, Proof("certificate"))

    def _by_key(self, wish: OpenState) -> Shown:
        username, password = wish.username or "", wish.password or b""
        if username.startswith(CLAIM_PREFIX):
            return self._vouching.by_claim(wish, username.removeprefix(CLAIM_PREFIX))
        token = parse_token(password) if password.startswith(TOKEN_START) else None
        if token is not None:
            return self._vouching.by_token(wish, token)
        device = self._registry.get(wish.username or "")
        if device is None or wish.password is None:
            raise wrong_credentials()
        key = matching_key(device.keys, wish.password)
        if key is not None:
            return Shown(device, Proof("key", key))
        if not device.password:
            raise wrong_credentials()
        return Shown(device, None)


def check_admitted(device: Device, wish: OpenState, assigned_client_id: str, proof: Proof) -> None:
    """See that somebody who has shown to be a device may connect as this client.

    A client identifier is the device's id, or begins with it and a slash: so nobody takes over the
    session of another device, and several clients of one device are told apart. Who names itself
    nothing has the `assigned_client_id`. Who enrols names the id that it wishes for.

    Raises:
        NotAdmitted: it may not.
    """
    if proof.kind == CLAIM:
        if wish.client_id == assigned_client_id:
            reason = "the client identifier is the id to be enrolled, and can't be empty"
            raise NotAdmitted(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, reason)
        return
    if device.status != "active":
        words = "waits for approval" if device.status == "pending" else "is disabled"
        raise NotAdmitted(ReasonCode.NOT_AUTHORIZED, f"'{device.id}' {words}")
    is_own = wish.client_id in (device.id, assigned_client_id)
    if not is_own and not wish.client_id.startswith(f"{device.id}/"):
        raise NotAdmitted(
            ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
            f"the client identifier must be '{device.id}', or begin with '{device.id}/'",
        )
