from pathlib import Path

from gateway.functions import FunctionSpec


def test_group_and_client_are_of_the_name():
    spec = FunctionSpec("levels", "m:f", Path())
    assert (spec.group, spec.client) == ("handler:levels", "$handler:levels")
