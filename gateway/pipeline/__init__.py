"""The loops over the log: they feed the rules, and write down what comes of it."""

from gateway.pipeline.clock_watch import ClockWatch
from gateway.pipeline.compaction import Compaction
from gateway.pipeline.evaluate import RuleEvaluation, no_puts
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.pipeline.handlers.crew import HandlerCrew
from gateway.pipeline.handlers.loop import Surroundings
from gateway.pipeline.handlers.trying import Trial, try_function
from gateway.pipeline.inspecting import Inspection, InspectionOptions
from gateway.pipeline.ledger import Ledger
from gateway.pipeline.lookup_files import read_version
from gateway.pipeline.outlets import ALARMS_TABLE
from gateway.pipeline.retention import Retention, RetentionOptions
from gateway.pipeline.rule_files import RuleFiles
from gateway.pipeline.scrub import Scrub, ScrubOptions
from gateway.pipeline.sweeping import Sweeping, SweepingOptions
from gateway.pipeline.wear import WearWatch

__all__ = [
    "ALARMS_TABLE",
    "ClockWatch",
    "Compaction",
    "EvaluationOptions",
    "HandlerCrew",
    "Inspection",
    "InspectionOptions",
    "Ledger",
    "Retention",
    "RetentionOptions",
    "RuleEvaluation",
    "RuleFiles",
    "Scrub",
    "ScrubOptions",
    "Surroundings",
    "Sweeping",
    "SweepingOptions",
    "Trial",
    "WearWatch",
    "no_puts",
    "read_version",
    "try_function",
]
