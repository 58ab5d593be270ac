from __future__ import annotations

from typing import get_args

from firmware_sim.effects import Dial, Effect, HangUp, Send


def test_effects_are_plain_values_that_compare_by_what_they_say():
    assert Send(b"a") == Send(b"a")
    assert HangUp(is_abrupt=True) != HangUp(is_abrupt=False)
    assert set(get_args(Effect)) == {Dial, Send, HangUp}
