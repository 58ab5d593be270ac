from __future__ import annotations

from dataclasses import replace

from gateway.pipeline.workers.job import decode_job, encode_job
from gateway.store import StreamSpec


def test_a_job_arrives_as_it_was_sent(job):
    own = {"sums": StreamSpec("sums", 1, durability="os", retention_age_ms=None)}
    job = replace(job, derived_by_name=own)
    assert decode_job(encode_job(job)) == job


def test_a_derived_stream_keeps_what_it_or_all_of_them_keep(job):
    own = StreamSpec("sums", 1, retention_age_ms=5)
    job = replace(job, derived_by_name={"sums": own})
    assert job.derived_spec("sums") == own
    assert job.derived_spec("others") == replace(job.derived, name="others")
