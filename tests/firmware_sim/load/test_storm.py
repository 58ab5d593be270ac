from __future__ import annotations

from firmware_sim.load.options import StormLoad
from firmware_sim.load.storm import Storm


def test_everybody_is_back_and_the_others_were_acknowledged(gateway, watched):
    load = StormLoad(port=gateway.port, clients=50, steady=4, rate_hz=50.0, quiet_s=0.2)
    run = Storm(load)
    measured = run.measure(watched)
    run.close()
    assert measured.clients == 50
    assert 0 < measured.half_back_s <= measured.all_back_s
    assert measured.ack_us_p50 <= measured.ack_us_p99 <= measured.ack_us_max
    assert measured.quiet_ack_us_p99 > 0
    assert watched.words == ["measuring", "measured"]
