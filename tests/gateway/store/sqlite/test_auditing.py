from gateway.store.sqlite.auditing import account_of, audit, consumer_account
from gateway.store.sqlite.verifying import PartitionCheck
from tests.gateway.store.logs import write_small_log


def a_check(**settings):
    check = PartitionCheck("telemetry", 0, 1, log_start_offset=20, head_id=0, next_offset=100)
    check.records = 70
    check.gaps = [(40, 50)]
    for name, value in settings.items():
        setattr(check, name, value)
    return check


def test_removed_and_reported_records_are_accounted_for():
    account = account_of(a_check(), {("telemetry", 0, 40, 50)})
    assert (account.accepted, account.stored, account.removed, account.damaged) == (100, 70, 20, 10)
    assert account.unaccounted == 0


def test_a_gap_that_nobody_reported_is_not():
    assert account_of(a_check(), set()).unaccounted == 10


def test_a_consumer_behind_retention_has_dropped_what_was_removed():
    account = consumer_account("g", a_check(), 10)
    assert (account.passed, account.dropped_removed, account.dropped_damaged) == (10, 10, 10)
    assert account.pending == 70
    assert account.unaccounted == 0


def test_a_consumer_past_the_end_does_not_balance():
    assert consumer_account("g", a_check(gaps=[], log_start_offset=0), 90).unaccounted == 0
    assert consumer_account("g", a_check(gaps=[]), 100).pending == 0


def test_a_sound_log_balances(tmp_path):
    assert audit(write_small_log(tmp_path))["balanced"]
