"""The contract's asserts explain themselves as those of a test module do."""

import pytest

pytest.register_assert_rewrite("tests.gateway.store.contract", "tests.gateway.store.building")
