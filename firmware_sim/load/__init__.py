"""Load for any MQTT server: `penstock bench`, and what the benchmarks compare servers with."""

from firmware_sim.load.options import (
    ConnectLoad,
    ConnectMeasured,
    DrainLoad,
    DrainMeasured,
    FanoutLoad,
    FanoutMeasured,
    HoldLoad,
    HoldMeasured,
    IngestLoad,
    IngestMeasured,
    Load,
    StormLoad,
    StormMeasured,
    quantile,
)
from firmware_sim.load.packets import CONNACK_ACCEPTED, Ring, build_ring, connect_packet
from firmware_sim.load.protocol import MEASURED, MEASURING, READY

__all__ = [
    "CONNACK_ACCEPTED",
    "MEASURED",
    "MEASURING",
    "READY",
    "ConnectLoad",
    "ConnectMeasured",
    "DrainLoad",
    "DrainMeasured",
    "FanoutLoad",
    "FanoutMeasured",
    "HoldLoad",
    "HoldMeasured",
    "IngestLoad",
    "IngestMeasured",
    "Load",
    "Ring",
    "StormLoad",
    "StormMeasured",
    "build_ring",
    "connect_packet",
    "quantile",
]
