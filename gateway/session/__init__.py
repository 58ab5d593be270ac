"""One client's conversation as a state machine: inputs in, effects out, no IO."""

from gateway.session.answering import retry_properties
from gateway.session.delivering import Delivery, Outgoing, Terms
from gateway.session.effects import (
    Append,
    CloseConnection,
    Effect,
    Grants,
    KeepState,
    OpenState,
    PublishWill,
    Redeliver,
    Release,
    Resume,
    Revokes,
    Send,
    SendRetained,
    SendSaved,
)
from gateway.session.expiring import current_properties
from gateway.session.inputs import (
    Appended,
    AppendRefused,
    ConnectionLost,
    ConnectRefused,
    Failure,
    Input,
    KeepAliveElapsed,
    Opened,
    Pubacks,
    PublishBatch,
    Released,
    ServerStopping,
    TakenOver,
)
from gateway.session.machine import Phase, Session
from gateway.session.options import SessionOptions
from gateway.session.snapshots import decode_state, encode_state
from gateway.session.state import Grant, Position, SessionState, Tally

__all__ = [
    "Append",
    "AppendRefused",
    "Appended",
    "CloseConnection",
    "ConnectRefused",
    "ConnectionLost",
    "Delivery",
    "Effect",
    "Failure",
    "Grant",
    "Grants",
    "Input",
    "KeepAliveElapsed",
    "KeepState",
    "OpenState",
    "Opened",
    "Outgoing",
    "Phase",
    "Position",
    "Pubacks",
    "PublishBatch",
    "PublishWill",
    "Redeliver",
    "Release",
    "Released",
    "Resume",
    "Revokes",
    "Send",
    "SendRetained",
    "SendSaved",
    "ServerStopping",
    "Session",
    "SessionOptions",
    "SessionState",
    "TakenOver",
    "Tally",
    "Terms",
    "current_properties",
    "decode_state",
    "encode_state",
    "retry_properties",
]
