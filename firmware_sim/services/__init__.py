"""What a device does for its operator: a twin that it honours, commands that it obeys, updates."""

from firmware_sim.services.crossing import Crossings
from firmware_sim.services.deeds import Ask, Deed, Restart, Tell
from firmware_sim.services.desk import DeskPlan, ServiceDesk
from firmware_sim.services.loader import load_services
from firmware_sim.services.spec import (
    CommandsSpec,
    ServicesSpec,
    ThresholdSpec,
    TwinSpec,
    UpdatesSpec,
)
from firmware_sim.services.update import CRYPTOGRAPHY_MISSING, can_check_signatures

__all__ = [
    "CRYPTOGRAPHY_MISSING",
    "Ask",
    "CommandsSpec",
    "Crossings",
    "Deed",
    "DeskPlan",
    "Restart",
    "ServiceDesk",
    "ServicesSpec",
    "Tell",
    "ThresholdSpec",
    "TwinSpec",
    "UpdatesSpec",
    "can_check_signatures",
    "load_services",
]
