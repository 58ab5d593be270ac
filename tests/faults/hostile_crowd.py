"""Many attackers at once, each of whom notes what became of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tests.faults.attacks import ANSWERED, CLOSED, V5, Attack, connect
from tests.harness.raw_client import Packet, decode_packet

AT_ONCE = 40
PINGRESP, CONNACK, DISCONNECT = 13, 2, 14
PATIENCE_S = 15.0


async def attack_all(port: int, attacks: Iterable[Attack]) -> list[str]:
    """Make every attack, `AT_ONCE` at a time; returns one line for each that ended wrongly."""
    queue = iter(attacks)
    complaints: list[str] = []

    async def attacker() -> None:
        for attack in queue:
            complaint = await one_attack(port, attack)
            if complaint:
                complaints.append(f"{attack.name}: {complaint} ({attack.sent[:40].hex()})")

    await asyncio.gather(*(attacker() for _ in range(AT_ONCE)))
    return complaints


async def one_attack(port: int, attack: Attack) -> str:
    """Make one attack; returns what was wrong with its end, or nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write((connect(attack.version) if attack.version else b"") + attack.sent)
        check = CHECKS.get(attack.outcome)
        return "" if check is None else await check(reader, attack)
    except ConnectionError:
        # A reset is an end, too; what was said before it may be lost on the way.
        return "reset" if attack.outcome == ANSWERED else ""
    finally:
        writer.transport.abort()


async def closed(reader: asyncio.StreamReader, attack: Attack) -> str:
    try:
        said = await asyncio.wait_for(reader.read(), PATIENCE_S)
    except TimeoutError:
        return "it was not closed"
    if attack.reason is None:
        return ""
    found = [packet for packet in packets(said) if packet.kind in (CONNACK, DISCONNECT)]
    code = -1
    if found and found[-1].kind == DISCONNECT:
        code = found[-1].body[0] if found[-1].body else 0
    elif found:
        code = found[-1].body[1]
    if attack.version is not None and attack.version is not V5:
        return ""
    return "" if code == attack.reason else f"it was told {code:#x}, not {attack.reason:#x}"


async def answered(reader: asyncio.StreamReader, _: Attack) -> str:
    said = b""
    try:
        while not any(packet.kind == PINGRESP for packet in packets(said)):
            more = await asyncio.wait_for(reader.read(65_536), PATIENCE_S)
            if not more:
                return f"it was closed, after {said.hex()}"
            said += more
    except TimeoutError:
        return "it was not answered"
    return ""


def packets(said: bytes) -> list[Packet]:
    """Every whole packet of what a server said."""
    found = []
    while (one := decode_packet(said)) is not None:
        found.append(one[0])
        said = said[one[1] :]
    return found


CHECKS = {CLOSED: closed, ANSWERED: answered}
