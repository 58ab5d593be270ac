from __future__ import annotations

from gateway.server.guessing import HOSTS_MAX, Guesses


def test_refusals_wait_beyond_a_number_of_failures_and_longer_each_time():
    guesses = Guesses(2, 1_000, 100)
    delays = [guesses.delay_ms(guesses.note("h", 0)) for _ in range(9)]
    assert delays == [0, 0, 100, 200, 400, 800, 1_600, 1_600, 1_600]
    assert guesses.is_guessing("h", 500)
    assert not guesses.is_guessing("other", 500)


def test_failures_are_forgotten():
    guesses = Guesses(1, 1_000, 100)
    for _ in range(3):
        guesses.note("h", 0)
    assert not guesses.is_guessing("h", 1_001)
    assert guesses.note("h", 1_001).count == 1
    guesses.note("i", 1_500)
    guesses.sweep(2_100)
    assert len(guesses) == 1


def test_there_is_a_limit_to_hosts():
    guesses = Guesses(1, 1_000, 100)
    for number in range(HOSTS_MAX + 5):
        guesses.note(str(number), 0)
    assert len(guesses) == HOSTS_MAX
