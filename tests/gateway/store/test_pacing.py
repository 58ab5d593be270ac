import random

import pytest

from gateway.events import Origin, Run
from gateway.store import pacing as pacing_module
from gateway.store.pacing import FOREVER_MS, Pacing, PacingOptions

EVENT_BYTES = 184


def events(client, count=1):
    origin = Origin(f"plant/{client}/t", client)
    return [Run("telemetry", 0, client, 0, [origin] * count, [b"x"] * count, b"\2" * count)]


class Played:
    """A gateway on a clock of its own: clients publish, commits take `sync_ms`."""

    def __init__(self, options=None, sync_ms=5.0):
        self.pacing = Pacing(options or PacingOptions(), 0.0)
        self.now_ms = 0.0
        self.sync_ms = sync_ms
        self.commits = []
        self.waits_ms = []
        self._queue = []
        self._done = None
        self.on_ack = {}

    def publish(self, client, count=1):
        runs = events(client, count)
        self._queue.append((self.now_ms, runs))
        self.pacing.arrive(runs, EVENT_BYTES * count, self.now_ms)

    def pass_ms(self, ms, step_ms=1.0, on_step=lambda: None):
        """Let time pass, making commits as they are due."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            on_step()
            self._turn()
            self.now_ms += step_ms

    def _turn(self):
        if self._done is not None and self.now_ms >= self._done[0]:
            _, queued = self._done
            self._done = None
            runs = [run for _, own in queued for run in own]
            self.waits_ms += [self.now_ms - at_ms for at_ms, _ in queued]
            self.pacing.acknowledge(runs, self.now_ms)
            for client in {run.client for run in runs} & set(self.on_ack):
                self.on_ack[client]()
        if self._done is None and self._queue and self.now_ms >= self.pacing.due_ms():
            self.commits.append(self.now_ms)
            self.pacing.begin()
            self._done = (self.now_ms + self.sync_ms, self._queue)
            self._queue = []

    def commits_per_s(self, ms, on_step=lambda: None):
        before = len(self.commits)
        self.pass_ms(ms, on_step=on_step)
        return (len(self.commits) - before) / ms * 1000


def publish_every(played, interval_ms, clients=100):
    """Clients that publish by their own clock, whatever is acknowledged."""
    state = {"due": played.now_ms, "count": 0}

    def on_step():
        while played.now_ms >= state["due"]:
            played.publish(f"pump-{state['count'] % clients}")
            state["count"] += 1
            state["due"] += interval_ms

    return on_step


def test_a_rare_event_is_committed_at_once():
    played = Played()
    for _ in range(50):
        played.publish("pump-1")
        played.pass_ms(5_000)
    assert max(played.waits_ms) <= played.sync_ms + 1


def test_a_steady_stream_of_few_events_shares_commits():
    played = Played()
    played.pass_ms(5_000, on_step=publish_every(played, 20))
    rate = played.commits_per_s(30_000, publish_every(played, 20))
    assert rate <= 0.4
    assert max(played.waits_ms) <= 3_000 + played.sync_ms + 1


def test_many_events_wait_the_least_time_only():
    played = Played()
    on_step = publish_every(played, 0.2, clients=1_000)
    played.pass_ms(2_000, on_step=on_step)
    played.waits_ms.clear()
    rate = played.commits_per_s(10_000, on_step)
    assert rate <= 6
    assert max(played.waits_ms) <= 200 + 2 * played.sync_ms + 2


def test_a_fleet_that_publishes_often_is_not_taken_for_clients_that_wait():
    """Replies that come by chance to others' commits must not make each other look true."""
    played, rng = Played(), random.Random(3)

    def on_step():
        for _ in range(5):
            played.publish(f"pump-{rng.randrange(100)}")

    played.pass_ms(4_000, on_step=on_step)
    assert played.commits_per_s(10_000, on_step) <= 8


def test_a_full_commit_does_not_wait():
    pacing = Pacing(PacingOptions(burst_commits=0), 0)
    assert pacing.arrive(events("a"), 100, 1)
    assert pacing.due_ms() == 1 + 3_000
    assert pacing.arrive(events("b"), 256 << 10, 2)
    assert pacing.due_ms() == 0


def test_a_client_that_waits_for_each_ack_is_answered_at_once():
    played = Played()
    played.on_ack["one"] = lambda: played.publish("one")
    played.publish("one")
    played.pass_ms(20_000)
    waits_ms = sorted(played.waits_ms)
    assert waits_ms[len(waits_ms) // 2] <= played.sync_ms + 1
    assert len(played.waits_ms) >= 1_000


def test_it_is_recognised_beside_a_steady_stream_too():
    played = Played()
    on_step = publish_every(played, 20)
    played.pass_ms(10_000, on_step=on_step)
    played.on_ack["one"] = lambda: played.publish("one")
    played.publish("one")
    played.pass_ms(20_000, on_step=on_step)
    assert played.commits_per_s(5_000, on_step) >= 100


def test_a_client_with_a_window_is_answered_at_once_too():
    played = Played()
    played.on_ack["one"] = lambda: played.publish("one", count=20)
    played.publish("one", count=20)
    played.pass_ms(10_000)
    assert played.commits_per_s(5_000) >= 100


@pytest.mark.parametrize("interval_ms", [10, 20, 33, 50, 100])
def test_one_client_that_publishes_by_the_clock_is_not_taken_for_one_that_waits(interval_ms):
    played = Played()
    on_step = publish_every(played, interval_ms, clients=1)
    played.pass_ms(10_000, on_step=on_step)
    rate = played.commits_per_s(60_000, on_step)
    assert rate <= max(0.6, 2_000 / interval_ms / 100)


def test_a_client_that_stops_waiting_loses_its_privilege():
    played = Played()
    played.on_ack["one"] = lambda: played.publish("one")
    played.publish("one")
    played.pass_ms(5_000)
    played.on_ack.clear()
    played.pass_ms(5_000, on_step=publish_every(played, 20, clients=1))
    assert played.commits_per_s(30_000, publish_every(played, 20, clients=1)) <= 0.6


def test_hurrying_commits_whatever_waits():
    pacing = Pacing(PacingOptions(burst_commits=0), 0)
    assert pacing.due_ms() == FOREVER_MS
    pacing.hurry()
    assert pacing.due_ms() == 0
    pacing.begin()
    assert pacing.due_ms() == FOREVER_MS


def test_a_fixed_window_is_the_same_for_everybody():
    pacing = Pacing(PacingOptions.fixed(40, 1_000), 0)
    assert not pacing.is_immediate
    for start_ms in (0, 10_000, 10_100):
        pacing.arrive(events("one"), 100, start_ms)
        assert pacing.due_ms() == start_ms + 40
        pacing.begin()
        pacing.acknowledge(events("one"), start_ms + 41)
    assert Pacing(PacingOptions.fixed(0, 1_000), 0).is_immediate


def test_widening_makes_everybody_wait_longer():
    pacing = Pacing(PacingOptions.fixed(40, 1_000), 0)
    pacing.widen(3)
    pacing.arrive(events("one"), 100, 0)
    assert pacing.due_ms() == 3 * 40 + 100
    pacing.widen(20)
    assert pacing.due_ms() == pacing_module.WAIT_MS_MOST == 1_000
    pacing.widen(0.1)
    assert pacing.stretch == 1
    pacing.widen(1e9)
    assert pacing.stretch == pacing_module.STRETCH_MAX


def test_a_window_that_is_longer_than_any_widening_stays_as_it_is():
    pacing = Pacing(PacingOptions(), 0)
    pacing.widen(64)
    pacing.arrive(events("one"), 100, 0)
    assert pacing.due_ms() == 3_000


def test_widening_gives_a_window_where_there_was_none():
    pacing = Pacing(PacingOptions.fixed(0, 1_000), 0)
    pacing.widen(3)
    assert not pacing.is_immediate
    pacing.arrive(events("one"), 100, 10)
    assert pacing.due_ms() == 110


def test_clients_that_wait_are_slowed_when_the_window_is_widened():
    played = Played()
    played.on_ack["one"] = lambda: played.publish("one")
    played.publish("one")
    played.pass_ms(5_000)
    played.pacing.widen(5)
    assert played.commits_per_s(10_000) <= 6


def test_what_is_known_of_clients_is_bounded(monkeypatch):
    monkeypatch.setattr(pacing_module, "CLIENTS_MAX", 10)
    pacing = Pacing(PacingOptions(burst_commits=0), 0)
    for number in range(100):
        runs = events(f"client-{number}")
        for turn in range(2):
            now_ms = number * 100 + turn * 20
            pacing.arrive(runs, 1, now_ms)
            pacing.begin()
            pacing.acknowledge(runs, now_ms + 10)
        assert len(pacing._acknowledged_ms) <= 11
        assert len(pacing._replies) <= 10
