from __future__ import annotations

import asyncio

from gateway.server.passwords import WAITING_MAX, PasswordDesk, hash_password, is_password


def test_a_password_is_known_again_and_not_kept():
    hashed = hash_password("correct horse")
    assert "correct" not in hashed
    assert hashed.startswith("$argon2id$")
    assert is_password(hashed, b"correct horse")
    assert not is_password(hashed, b"wrong")
    assert not is_password("what is no hash", b"wrong")


async def test_who_asks_waits_for_a_turn_and_there_is_an_end_to_it():
    hashed = hash_password("a")
    desk = PasswordDesk()
    asked = [asyncio.ensure_future(desk.verify(hashed, word)) for word in (b"a", b"b", b"a")]
    assert await asyncio.gather(*asked) == [True, False, True]
    assert desk.has_room
    desk.waiting = WAITING_MAX
    assert not desk.has_room
