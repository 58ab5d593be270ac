from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.clock import ManualClock
from gateway.devices import ProfileBook
from gateway.errors import DocumentInvalid
from gateway.pipeline.workers.building import (
    build_evaluation,
    load_job_profiles,
    load_job_rules,
    outline_of,
    router_of,
)


def test_what_rules_publish_is_stored_where_it_would_be_if_a_client_had(job):
    router = router_of(job)
    assert router.route_of("alerts/hot/m1")[:2] == ("alerts", 0)
    stream, _, origin = router.route_of("siren/m1")
    assert (stream, origin.device) == ("telemetry", "m1")


def test_the_outline_names_the_streams_that_rules_write(job):
    assert outline_of(load_job_rules(job)).emitted_streams == ("sums",)


def test_rules_that_write_where_clients_do_are_refused(job):
    with pytest.raises(DocumentInvalid, match="the stream 'sums' takes topics, too"):
        load_job_rules(replace(job, client_streams=("sums",)))


def test_profiles_are_loaded_where_there_are_any(job, tmp_path):
    assert len(load_job_profiles(job)) == 0
    (tmp_path / "bad.yaml").write_text("version: 1\nprofile: {")
    with pytest.raises(DocumentInvalid):
        load_job_profiles(replace(job, profiles_path=str(tmp_path / "bad.yaml")))


def test_the_rules_of_the_job_are_at_work(job):
    rules = load_job_rules(job)
    assert build_evaluation(job, rules, ProfileBook(), None, ManualClock()).rules is rules
