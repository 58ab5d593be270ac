from __future__ import annotations

from gateway.documents import did_you_mean


def test_a_close_word_is_named():
    assert did_you_mean("retension", ["name", "retention"]) == ", did you mean 'retention'?"


def test_only_the_closest_word_is_named():
    assert (
        did_you_mean("partition", ["partitions", "partitioner"]) == ", did you mean 'partitions'?"
    )


def test_a_far_word_names_nothing():
    assert did_you_mean("colour", ["name", "retention"]) == ""


def test_without_candidates_nothing_is_named():
    assert did_you_mean("name", iter(())) == ""
