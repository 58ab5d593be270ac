from __future__ import annotations

import pytest

from gateway.errors import MalformedPacket
from gateway.mqtt.qos import check_qos


@pytest.mark.spec("MQTT5-3.3.1-4")
@pytest.mark.spec("MQTT311-3.3.1-4")
def test_there_are_three_qualities_of_service():
    for qos in (0, 1, 2):
        check_qos(qos, "a message")
    for qos in (3, -1):
        with pytest.raises(MalformedPacket, match=f"QoS of a message is {qos}"):
            check_qos(qos, "a message")
