"""One client's conversation as a state machine: inputs in, effects out, no IO."""

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
    Resume,
    Revokes,
    Send,
)
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
    ServerStopping,
    TakenOver,
)
from gateway.session.machine import Phase, Session
from gateway.session.options import SessionOptions
from gateway.session.state import Grant, Position, SessionState

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
    "Resume",
    "Revokes",
    "Send",
    "ServerStopping",
    "Session",
    "SessionOptions",
    "SessionState",
    "TakenOver",
    "Terms",
]
