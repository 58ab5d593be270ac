from __future__ import annotations

import asyncio
import logging
import ssl

import pytest

from gateway.server.listeners.handshakes import PATIENCE_MS, Handshakes, Step, advance


class Somebody:
    """A connection whose handshake is under way."""

    def __init__(self, peer=None):
        self.peer = peer
        self.was_aborted = False

    def abort(self):
        self.was_aborted = True

    def get_extra_info(self, name):
        return self.peer


class Scripted:
    """A TLS object whose next step ends as it is told."""

    def __init__(self, outcome=None):
        self.outcome = outcome

    def do_handshake(self):
        if self.outcome is not None:
            raise self.outcome


async def step(handshakes, somebody, tls):
    """One step, and how it ended."""
    outcome = asyncio.get_running_loop().create_future()
    handshakes.step(somebody, tls, outcome.set_result)
    async with asyncio.timeout(10):
        return await outcome


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(None, Step.DONE), (ssl.SSLWantReadError(), Step.UNFINISHED)],
)
def test_a_step_that_did_not_fail_is_done_or_unfinished(outcome, expected):
    assert advance(Scripted(outcome)) is expected


def test_a_step_that_failed_returns_why():
    error = ssl.SSLError(1, "why")
    assert advance(Scripted(error)) is error


async def test_the_outcome_of_a_step_is_told_on_the_loop(handshakes):
    somebody = Somebody()
    assert handshakes.enter(somebody)
    assert await step(handshakes, somebody, Scripted(ssl.SSLWantReadError())) is Step.UNFINISHED
    assert await step(handshakes, somebody, Scripted()) is Step.DONE
    handshakes.leave(somebody)
    handshakes.leave(somebody)
    assert len(handshakes) == 0


def test_so_many_handshakes_at_once_and_no_more(handshakes):
    everybody = [Somebody() for _ in range(4)]
    assert [handshakes.enter(one) for one in everybody] == [True, True, True, False]
    handshakes.leave(everybody[0])
    assert handshakes.enter(everybody[3])
    assert handshakes.refused == 1
    assert not any(one.was_aborted for one in everybody)


async def test_whoever_has_been_silent_for_longest_makes_room(handshakes, clock):
    everybody = [Somebody() for _ in range(3)]
    for one in everybody:
        handshakes.enter(one)
        clock.advance(PATIENCE_MS // 2)
    # The first one speaks: now it is the second that has been silent for longest.
    await step(handshakes, everybody[0], Scripted(ssl.SSLWantReadError()))
    assert handshakes.enter(Somebody())
    assert [one.was_aborted for one in everybody] == [False, True, False]
    assert (len(handshakes), handshakes.refused) == (3, 1)


async def test_nobody_is_sent_away_for_waiting_for_us(handshakes, clock):
    outcomes = []
    everybody = [Somebody() for _ in range(3)]
    for one in everybody:
        handshakes.enter(one)
        handshakes.step(one, Scripted(), outcomes.append)
    clock.advance(PATIENCE_MS)
    assert not handshakes.enter(Somebody())
    assert not any(one.was_aborted for one in everybody)


async def test_who_leaves_during_a_step_does_not_come_back(handshakes):
    somebody = Somebody()
    handshakes.enter(somebody)
    outcome = asyncio.get_running_loop().create_future()
    handshakes.step(somebody, Scripted(), outcome.set_result)
    handshakes.leave(somebody)
    assert await outcome is Step.DONE
    assert len(handshakes) == 0


def test_failures_and_refusals_are_told_in_a_line_each_and_once(clock, caplog):
    handshakes = Handshakes(1, clock)
    handshakes.enter(Somebody())
    handshakes.enter(Somebody())
    error = ssl.SSLError(1, "no way")
    error.reason = "NO_WAY"
    for host in ("192.0.2.1", "192.0.2.2"):
        handshakes.note_failure(Somebody((host, 4242)), error)
    with caplog.at_level(logging.INFO):
        handshakes.tell()
        handshakes.tell()
    assert caplog.messages == [
        "2 TLS handshakes failed, the last from 192.0.2.2:4242: NO_WAY",
        "1 TLS handshakes refused: more than 1 at once",
    ]


def test_closing_before_the_first_handshake_does_no_harm(clock):
    Handshakes(1, clock).close()
