from __future__ import annotations

import asyncio

from gateway.server.seats import SEATS, Seats


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_so_many_sit_and_the_others_follow_in_order():
    seats = Seats(2)
    sat = []

    async def read(number):
        seat = seats.seat()
        await seat.take()
        sat.append(number)
        return seat

    tasks = [asyncio.create_task(read(number)) for number in range(5)]
    await turn()
    assert sat == [0, 1]
    (await tasks[1]).give_back()
    await turn()
    assert sat == [0, 1, 2]
    for number in (0, 2, 3, 4):
        (await tasks[number]).give_back()
    assert sat == [0, 1, 2, 3, 4]


async def test_a_seat_is_taken_once_and_given_back_once():
    seats = Seats(1)
    seat, other = seats.seat(), seats.seat()
    await seat.take()
    await seat.take()
    seat.give_back()
    seat.give_back()
    await other.take()
    waiting = asyncio.create_task(seat.take())
    await turn()
    assert not waiting.done()
    waiting.cancel()
    other.give_back()
    await seat.take()
    assert seat.is_taken


def test_few_read_at_a_time():
    assert SEATS <= 4
