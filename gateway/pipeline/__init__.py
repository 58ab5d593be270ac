"""The loops over the log: they feed the rules, and write down what comes of it."""

from gateway.pipeline.evaluate import EvaluationOptions, RuleEvaluation

__all__ = ["EvaluationOptions", "RuleEvaluation"]
