from gateway.events import Origin, Run
from gateway.server.submissions import Submission, split_control
from gateway.session import SessionState
from gateway.store import Put


def test_a_submission_is_empty_by_itself():
    one, two = Submission(), Submission()
    assert one.runs == one.puts == []
    assert one.runs is not two.runs


def a_run(client):
    return Run("s", 0, client, 0, [Origin("a/b", "b")], [b"1"], b"\x02")


def test_what_changes_tables_alone_is_parted_from_records():
    records = Submission(runs=[a_run("busy")], puts=[Put("retained", "a/b", b"1")])
    free = [Submission(state=SessionState("idle", 1)), Submission(puts=[Put("t", "key", b"2")])]
    assert split_control([records, *free]) == (free, [records])


def test_nothing_overtakes_what_it_must_follow():
    records = Submission(runs=[a_run("busy")], puts=[Put("retained", "a/b", b"1")])
    bound = [
        Submission(state=SessionState("busy", 1)),
        Submission(puts=[Put("retained", "a/b", None)]),
    ]
    assert split_control([records, *bound]) == ([], [records, *bound])
