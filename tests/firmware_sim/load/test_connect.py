from __future__ import annotations

import pytest

from firmware_sim.failures import ServerAbsent
from firmware_sim.load.connect import Connects
from firmware_sim.load.options import ConnectLoad


def test_clients_that_come_and_go_are_counted_and_timed(gateway, watched):
    run = Connects(ConnectLoad(port=gateway.port, at_once=5, warm_up_s=0.05, measured_s=0.2))
    measured = run.measure(watched)
    run.close()
    assert measured.connects > 0
    assert 0 < measured.latency_us_p50 <= measured.latency_us_p99 <= measured.latency_us_max
    assert watched.words == ["measuring", "measured"]


def test_nobody_listening_is_told_at_once(nobody):
    with pytest.raises(ServerAbsent):
        Connects(ConnectLoad(port=nobody))
