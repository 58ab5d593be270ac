"""What Paho's tests take for their own test broker: it says where the gateway listens."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any


def run(**_: Any) -> None:
    """Nothing to start: the gateway runs already."""


_socket = SimpleNamespace(getsockname=lambda: ("localhost", int(os.environ["PENSTOCK_PORT"])))
_server = SimpleNamespace(socket=_socket, shutdown=lambda: None)
listeners = SimpleNamespace(TCPListeners=SimpleNamespace(server=_server))
