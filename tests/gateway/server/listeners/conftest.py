from __future__ import annotations

import pytest

from gateway.clock import ManualClock
from gateway.server.listeners.handshakes import Handshakes
from tests.harness.certificates import Certificates
from tests.harness.transports import FakeTransport, Listener


@pytest.fixture(scope="session")
def certificates_made(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificates(tmp_path):
    """Files of its own for a test that changes them."""
    return Certificates(tmp_path)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def handshakes(clock):
    budget = Handshakes(3, clock)
    yield budget
    budget.close()


@pytest.fixture
def upper():
    return Listener()


@pytest.fixture
def wire():
    return FakeTransport()
