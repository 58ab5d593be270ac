"""Complex event processing as arithmetic on event time."""

from gateway.rules.loader import load_rules, parse_rules, rule_paths
from gateway.rules.spec import RuleSet, RuleSpec
from gateway.rules.supported import SUPPORTED
from gateway.rules.values import UNKNOWN

__all__ = [
    "SUPPORTED",
    "UNKNOWN",
    "RuleSet",
    "RuleSpec",
    "load_rules",
    "parse_rules",
    "rule_paths",
]
