"""Complex event processing as arithmetic on event time."""

from gateway.rules.engine import Engine
from gateway.rules.loader import load_rules, parse_rules, rule_paths
from gateway.rules.outputs import (
    ALERTS_STREAM,
    RULES_CLIENT,
    TICKS_STREAM,
    Cause,
    Output,
    Publication,
    SideEvent,
    Transition,
    spell_time,
)
from gateway.rules.plans import RuleCounters
from gateway.rules.spec import RuleSet, RuleSpec
from gateway.rules.supported import SUPPORTED
from gateway.rules.values import UNKNOWN

__all__ = [
    "ALERTS_STREAM",
    "RULES_CLIENT",
    "SUPPORTED",
    "TICKS_STREAM",
    "UNKNOWN",
    "Cause",
    "Engine",
    "Output",
    "Publication",
    "RuleCounters",
    "RuleSet",
    "RuleSpec",
    "SideEvent",
    "Transition",
    "load_rules",
    "parse_rules",
    "rule_paths",
    "spell_time",
]
