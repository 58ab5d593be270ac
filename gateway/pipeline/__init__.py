"""The loops over the log: they feed the rules, and write down what comes of it."""

from gateway.pipeline.clock_watch import ClockWatch
from gateway.pipeline.evaluate import EvaluationOptions, RuleEvaluation, no_puts
from gateway.pipeline.outlets import ALARMS_TABLE
from gateway.pipeline.retention import Retention, RetentionOptions
from gateway.pipeline.wear import WearWatch

__all__ = [
    "ALARMS_TABLE",
    "ClockWatch",
    "EvaluationOptions",
    "Retention",
    "RetentionOptions",
    "RuleEvaluation",
    "WearWatch",
    "no_puts",
]
