from __future__ import annotations

import typing

import pytest

from gateway.session.effects import Effect

EFFECTS = typing.get_args(Effect)


@pytest.mark.parametrize("effect", EFFECTS)
def test_an_effect_says_the_one_thing_to_do(effect):
    assert effect.__doc__
    assert effect.__doc__.endswith(".")
    assert effect.__dataclass_params__.frozen
