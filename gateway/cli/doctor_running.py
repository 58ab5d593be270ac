"""What `penstock doctor` asks of a gateway that runs: does it answer, and who is behind."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from gateway.cli.findings import Finding, Level
from gateway.server import ListenerOptions
from gateway.store import StreamReader, lags_of, shortest

LOCK_NAME = "penstock.lock"
ANSWER_S_MAX = 3.0
CONNECT = bytes.fromhex("1011 0004 4d515454 04 02 000a 0005") + b"$doct"
CONNACK_BYTES = 4
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - asked, not bound
LOSS_WARN_MS = 3_600_000
MINUTE_MS = 60_000


def check_listeners(data_dir: Path, listeners: tuple[ListenerOptions, ...]) -> Iterator[Finding]:
    """Whether each configured address answers; a plain one must speak MQTT."""
    is_running = is_locked(data_dir)
    for listener in listeners:
        place = f"{listener.host}:{listener.port}"
        trouble = ask(listener)
        if trouble is None:
            yield Finding(Level.ok, "gateway", f"answers on {place}")
        elif is_running:
            advice = "see its log; restart it if it hangs"
            yield Finding(Level.fail, "gateway", f"runs, but {place}: {trouble}", advice)
        else:
            yield Finding(Level.ok, "gateway", f"doesn't run here ({place}: {trouble})")


def is_locked(data_dir: Path) -> bool:
    """Whether a gateway holds the directory."""
    try:
        descriptor = os.open(data_dir / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def ask(listener: ListenerOptions) -> str | None:
    """What is wrong with an address; None when somebody answers there as it should."""
    address = (ANY_ADDRESS.get(listener.host, listener.host), listener.port)
    speaks_plainly = listener.kind == "mqtt" and not (listener.tls or listener.proxy_protocol)
    try:
        with closing(socket.create_connection(address, ANSWER_S_MAX)) as connection:
            if not speaks_plainly:
                return None
            connection.sendall(CONNECT)
            answer = connection.recv(CONNACK_BYTES)
    except OSError as error:
        return error.strerror or str(error)
    # Whether it lets us in or not: it is an MQTT server, and awake.
    return None if answer[:1] == b"\x20" else "what answers there is no MQTT server"


async def check_groups(reader: StreamReader, now_ms: int) -> list[Finding]:
    """How far each group is behind, and when it begins to lose records."""
    findings = []
    for group in await reader.groups():
        lags = await lags_of(reader, group, now_ms)
        records = sum(lag.records for lag in lags)
        lost = sum(lag.lost_records for lag in lags)
        left_ms = shortest([lag.time_to_loss_ms for lag in lags])
        text = f"'{group.name}' is {records} records behind"
        if lost:
            text += f", and {lost} were removed before it read them"
        if left_ms is not None:
            text += f"; it loses the first in {left_ms // MINUTE_MS} min"
        is_late = lost > 0 or (left_ms is not None and left_ms < LOSS_WARN_MS)
        advice = "let it read faster, or keep more: retention, or 'behind: block'"
        findings.append(
            Finding(Level.warn, "group", text, advice)
            if is_late
            else Finding(Level.ok, "group", text)
        )
    return findings
