"""Asserts of what test modules share explain themselves as those of a test module do."""

import pytest

pytest.register_assert_rewrite(
    "tests.gateway.store.building",
    "tests.gateway.store.compaction_contract",
    "tests.gateway.store.group_contract",
    "tests.gateway.store.log_contract",
    "tests.gateway.store.reader_contract",
    "tests.gateway.store.state_contract",
)
