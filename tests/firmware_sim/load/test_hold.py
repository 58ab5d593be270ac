from __future__ import annotations

import pytest

from firmware_sim.load.hold import Hold
from firmware_sim.load.options import HoldLoad


@pytest.mark.parametrize("subscribes", [False, True])
def test_everybody_is_in_when_it_counts(gateway, watched, subscribes):
    load = HoldLoad(port=gateway.port, clients=30, subscribes=subscribes, settle_s=0.0)
    run = Hold(load)
    measured = run.measure(watched)
    run.close()
    assert measured.clients == 30
    assert watched.words == ["measuring", "measured"]
    assert watched.shown[-1] == {"clients": 30}
