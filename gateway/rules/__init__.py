"""Complex event processing as arithmetic on event time."""

from gateway.rules.alarm_topics import (
    ALARMS_STREAM,
    VERBS,
    CommandTopic,
    alarm_topic,
    command_topic,
)
from gateway.rules.costs import StateCost, cost_of
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
from gateway.rules.rule_sets import RuleSet
from gateway.rules.schema import rules_schema
from gateway.rules.spec import RuleSpec
from gateway.rules.supported import SUPPORTED
from gateway.rules.values import UNKNOWN

__all__ = [
    "ALARMS_STREAM",
    "ALERTS_STREAM",
    "RULES_CLIENT",
    "SUPPORTED",
    "TICKS_STREAM",
    "UNKNOWN",
    "VERBS",
    "Cause",
    "CommandTopic",
    "Engine",
    "Output",
    "Publication",
    "RuleCounters",
    "RuleSet",
    "RuleSpec",
    "SideEvent",
    "StateCost",
    "Transition",
    "alarm_topic",
    "command_topic",
    "cost_of",
    "load_rules",
    "parse_rules",
    "rule_paths",
    "rules_schema",
    "spell_time",
]
