from __future__ import annotations

import pytest

from firmware_sim.load.ingest import Ingest
from firmware_sim.load.options import IngestLoad


@pytest.mark.parametrize("window", [1, 50])
@pytest.mark.parametrize("with_properties", [False, True])
def test_every_message_is_acknowledged_and_timed(gateway, watched, window, with_properties):
    load = IngestLoad(
        port=gateway.port,
        connections=3,
        window=window,
        with_properties=with_properties,
        warm_up_s=0.05,
        measured_s=0.2,
    )
    run = Ingest(load)
    measured = run.measure(watched)
    run.close()
    assert measured.messages > 0
    assert measured.unacknowledged == 0
    assert 0 < measured.latency_us(0.5) <= measured.latency_us(1.0)
    assert watched.words == ["measuring", "measured"]
    assert watched.shown[-1]["messages"] <= measured.messages
