from gateway.store.groups.options import (
    SESSION_MS,
    SESSION_MS_MAX,
    SESSION_MS_MIN,
    GroupOptions,
)


def test_a_dead_member_is_replaced_within_five_seconds():
    assert SESSION_MS_MIN <= SESSION_MS < 5000 <= SESSION_MS_MAX


def test_the_rules_keep_their_group_to_themselves():
    assert "rules" in GroupOptions().reserved
