"""The asyncio side of MQTT: listeners, connections, ingest, fan-out."""

from gateway.server.access_options import (
    AccessOptions,
    Anonymous,
    Credentials,
    DeniedPublish,
    DoubtfulClock,
)
from gateway.server.audit import AUDIT_SPEC
from gateway.server.device_usage import DeviceUsage
from gateway.server.listeners.addresses import is_loopback, join_address
from gateway.server.listeners.listeners import AddressUnavailable
from gateway.server.listeners.tls_files import TlsFilesInvalid
from gateway.server.mqtt_server import MqttServer
from gateway.server.options import (
    BeyondRate,
    ClientCertificates,
    FlappingOptions,
    Kind,
    ListenerOptions,
    QuotaOptions,
    ServerOptions,
    TlsOptions,
)
from gateway.server.passwords import hash_password
from gateway.server.payload_checks import PayloadChecks
from gateway.server.presence import PRESENCE_STREAM
from gateway.server.profiles_in_use import ProfilesInUse
from gateway.server.registry_audit import audit_edits
from gateway.server.retaining import RETAINED_HOLDER, retained_check
from gateway.server.share_accounts import SHARES_TABLE, SavedGroup, ShareTally, decode_share
from gateway.server.spilling import ClaimLimits
from gateway.server.table_values import VALUE_CHECKS

__all__ = [
    "AUDIT_SPEC",
    "PRESENCE_STREAM",
    "RETAINED_HOLDER",
    "SHARES_TABLE",
    "VALUE_CHECKS",
    "AccessOptions",
    "AddressUnavailable",
    "Anonymous",
    "BeyondRate",
    "ClaimLimits",
    "ClientCertificates",
    "Credentials",
    "DeniedPublish",
    "DeviceUsage",
    "DoubtfulClock",
    "FlappingOptions",
    "Kind",
    "ListenerOptions",
    "MqttServer",
    "PayloadChecks",
    "ProfilesInUse",
    "QuotaOptions",
    "SavedGroup",
    "ServerOptions",
    "ShareTally",
    "TlsFilesInvalid",
    "TlsOptions",
    "audit_edits",
    "decode_share",
    "hash_password",
    "is_loopback",
    "join_address",
    "retained_check",
]
