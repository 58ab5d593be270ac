"""Complex event processing as arithmetic on event time."""

from gateway.rules.alarm_topics import (
    ALARMS_STREAM,
    VERBS,
    CommandTopic,
    alarm_topic,
    command_topic,
)
from gateway.rules.alarms import LOOKUP_INVALID, RULE_ERROR, RULES_INVALID
from gateway.rules.costs import StateCost, cost_of
from gateway.rules.counters import RuleCounters
from gateway.rules.device_facts import TWINS_STREAM, Fact, decode_fact
from gateway.rules.engine import DecoderOf, Engine
from gateway.rules.filters import EventFilter
from gateway.rules.loader import (
    load_rules,
    parse_rule_files,
    parse_rules,
    read_rule_files,
    rule_paths,
)
from gateway.rules.lookups import (
    LOOKUPS_STREAM,
    ROWS_MAX,
    TABLE_SUFFIXES,
    Version,
    decode_version,
    read_rows,
    version_of,
)
from gateway.rules.loopbacks import Loopback
from gateway.rules.outputs import (
    ALERTS_STREAM,
    RULES_CLIENT,
    SIDE_STREAM_PREFIX,
    TICKS_STREAM,
    Cause,
    Derived,
    Output,
    Publication,
    SideEvent,
    Transition,
    spell_time,
)
from gateway.rules.reasons import spell_duration
from gateway.rules.rule_sets import RuleSet, check_streams
from gateway.rules.schema import rules_schema
from gateway.rules.spec import SEVERITIES, Lookup, RuleSpec
from gateway.rules.supported import SUPPORTED
from gateway.rules.trials.cases import TrialFile
from gateway.rules.trials.episodes import Difference, Episode, Episodes, Pair, Step, compare
from gateway.rules.trials.examinations import Examination
from gateway.rules.trials.outcomes import Outcome
from gateway.rules.tryouts import (
    examine,
    parse_trials,
    rehearse,
    saved_counters,
    saved_hashes,
    stopped_rules,
    trials_schema,
)
from gateway.rules.values import UNKNOWN

__all__ = [
    "ALARMS_STREAM",
    "ALERTS_STREAM",
    "LOOKUPS_STREAM",
    "LOOKUP_INVALID",
    "ROWS_MAX",
    "RULES_CLIENT",
    "RULES_INVALID",
    "RULE_ERROR",
    "SEVERITIES",
    "SIDE_STREAM_PREFIX",
    "SUPPORTED",
    "TABLE_SUFFIXES",
    "TICKS_STREAM",
    "TWINS_STREAM",
    "UNKNOWN",
    "VERBS",
    "Cause",
    "CommandTopic",
    "DecoderOf",
    "Derived",
    "Difference",
    "Engine",
    "Episode",
    "Episodes",
    "EventFilter",
    "Examination",
    "Fact",
    "Lookup",
    "Loopback",
    "Outcome",
    "Output",
    "Pair",
    "Publication",
    "RuleCounters",
    "RuleSet",
    "RuleSpec",
    "SideEvent",
    "StateCost",
    "Step",
    "Transition",
    "TrialFile",
    "Version",
    "alarm_topic",
    "check_streams",
    "command_topic",
    "compare",
    "cost_of",
    "decode_fact",
    "decode_version",
    "examine",
    "load_rules",
    "parse_rule_files",
    "parse_rules",
    "parse_trials",
    "read_rows",
    "read_rule_files",
    "rehearse",
    "rule_paths",
    "rules_schema",
    "saved_counters",
    "saved_hashes",
    "spell_duration",
    "spell_time",
    "stopped_rules",
    "trials_schema",
    "version_of",
]
