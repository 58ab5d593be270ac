"""From a job to rules at work on a log, in whichever process that is."""

from __future__ import annotations

from pathlib import Path

from gateway.clock import Clock
from gateway.devices import DeviceTopics, ProfileBook, load_profiles
from gateway.errors import DocumentInvalid
from gateway.pipeline.evaluate import RuleEvaluation
from gateway.pipeline.evaluation_options import EvaluationOptions
from gateway.pipeline.puts import PutsOf, no_puts
from gateway.pipeline.workers.job import Outline, RulesJob
from gateway.routing import Router, StreamRoute
from gateway.rules import (
    RuleSet,
    check_streams,
    load_rules,
    parse_rule_files,
    read_rule_files,
)
from gateway.store import ConsumerStore, partition_of


def load_job_rules(job: RulesJob) -> RuleSet:
    """The rules of a job.

    Raises:
        DocumentInvalid: they are wrong, by themselves or beside its streams; every error is listed.
    """
    rules = load_rules([Path(job.rules_path)])
    check_streams(rules, job.client_streams)
    return rules


def load_kept_rules(job: RulesJob) -> RuleSet:
    """The rules of a job as they were right last.

    Raises:
        DocumentInvalid: they are wrong beside the look-ups of today.
    """
    rules = parse_rule_files({Path(path): text for path, text in job.kept_rules.items()})
    check_streams(rules, job.client_streams)
    return rules


def texts_of(job: RulesJob) -> dict[str, str]:
    """The texts of the rule files of a job; none while they can't be read."""
    try:
        texts = read_rule_files([Path(job.rules_path)])
    except DocumentInvalid:
        return {}
    return {str(path): text for path, text in texts.items()}


def load_job_profiles(job: RulesJob) -> ProfileBook:
    """The profiles that decode what the rules of a job read.

    Raises:
        DocumentInvalid: they are wrong; every error is listed.
    """
    if job.profiles_path is None:
        return ProfileBook()
    return load_profiles([Path(job.profiles_path)])


def outline_of(rules: RuleSet) -> Outline:
    """What the gateway must know of these rules."""
    return Outline(rules.emitted_streams)


def router_of(job: RulesJob) -> Router:
    """Where what rules publish is stored: the same place as if a client had."""
    routes = [StreamRoute(one.stream, one.topic_filters, one.partitions) for one in job.routes]
    return Router(routes, DeviceTopics(job.device_topics).device_of, partition_of)


def build_evaluation(  # noqa: PLR0913 - what rules at work are made of
    job: RulesJob,
    rules: RuleSet,
    profiles: ProfileBook,
    store: ConsumerStore,
    clock: Clock,
    puts_of: PutsOf = no_puts,
) -> RuleEvaluation:
    """The rules at work on a log; `puts_of` tells which tables must change with their records."""
    return RuleEvaluation(
        store,
        rules,
        job.streams,
        router_of(job).route_of,
        clock,
        EvaluationOptions(
            checkpoint_records=job.checkpoint_records,
            checkpoint_interval_ms=job.checkpoint_interval_ms,
            derived_spec=job.derived_spec,
        ),
        puts_of=puts_of,
        decoder_of=None if job.profiles_path is None else profiles.decoder_of,
    )
