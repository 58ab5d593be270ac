from __future__ import annotations

from firmware_sim.line import LineOptions
from firmware_sim.player import Player
from firmware_sim.recording import Row
from firmware_sim.sink import Sink
from firmware_sim.virtual import VirtualRun

START_MS = 1_000_000


def rows(count, step_ms=1_000):
    return [Row(step_ms * number, "t", b"%d" % number) for number in range(count)]


def play(recording, *, qos=1, window=10, speed=None):
    player = Player(iter(recording), LineOptions("x"), qos=qos, window=window, speed=speed)
    player.publisher.line.wake(START_MS)
    run = VirtualRun([player], Sink(), START_MS)
    return run, player


def numbers(run):
    return [int(taken.payload) for taken in run.sink.taken]


def test_rows_are_published_in_their_order_and_acknowledged():
    run, player = play(rows(250))
    run.run_until(START_MS + 1_000)
    assert player.is_done
    assert numbers(run) == list(range(250))
    assert player.tally.acknowledged == 250


def test_no_more_rows_are_under_way_than_the_window_allows():
    run, player = play(rows(50), window=7)
    run.sink.acknowledges = False
    run.run_until(START_MS + 1_000)
    assert len(run.sink.taken) == 7
    assert player.tally.taken == 7


def test_the_pace_is_that_of_the_recording_times_the_speed():
    run, player = play(rows(10), speed=100.0)
    run.run_until(START_MS + 55)
    assert len(run.sink.taken) == 5
    run.run_until(START_MS + 1_000)
    assert player.is_done


def test_rows_whose_time_runs_backwards_are_sent_at_once():
    recording = [Row(5_000, "t", b"0"), Row(0, "t", b"1"), Row(5_100, "t", b"2")]
    run, _ = play(recording, speed=1.0)
    run.run_until(START_MS + 15)
    assert numbers(run) == [0, 1]


def test_a_lost_connection_repeats_what_is_unacknowledged_and_skips_nothing():
    run, player = play(rows(2_000), window=5)
    for step in range(1, 10):
        run.run_until(START_MS + 37 * step)
        run.break_all()
    run.run_until(START_MS + 60_000)
    assert player.is_done
    assert list(dict.fromkeys(numbers(run))) == list(range(2_000))
    repeats = [taken for taken in run.sink.taken if taken.dup]
    assert 0 < len(repeats) <= player.tally.repeats


def test_qos_0_waits_for_nobody():
    run, player = play(rows(500), qos=0)
    run.sink.acknowledges = False
    run.run_until(START_MS + 1_000)
    assert player.is_done
    assert numbers(run) == list(range(500))


def test_a_full_socket_stops_the_rows():
    run, player = play(rows(500), qos=0)
    run.run_until(START_MS + 5)
    run.command(lambda actor, now_ms: actor.block(now_ms, is_blocked=True))
    run.run_until(START_MS + 1_000)
    assert player.tally.taken == 0
    run.command(lambda actor, now_ms: actor.block(now_ms, is_blocked=False))
    run.run_until(START_MS + 2_000)
    assert player.is_done


def test_every_row_goes_to_its_own_topic():
    run, _ = play([Row(0, f"t/{number % 3}", b"%d" % number) for number in range(9)])
    run.run_until(START_MS + 100)
    assert [taken.topic for taken in run.sink.taken] == [f"t/{n % 3}" for n in range(9)]


def test_a_closed_player_sends_no_more():
    run, player = play(rows(1_000), window=1)
    run.run_until(START_MS + 20)
    run.command(Player.close)
    sent = len(run.sink.taken)
    run.run_until(START_MS + 1_000)
    assert len(run.sink.taken) == sent
    assert player.next_due_ms is None
