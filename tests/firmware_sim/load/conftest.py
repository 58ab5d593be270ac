"""A gateway to put load on, one for all tests of a process, and what watches a load."""

from __future__ import annotations

import pytest

from tests.harness.gateway_process import GatewayProcess, free_port


class Watched:
    """Remembers what a load told of itself."""

    def __init__(self):
        self.words = []
        self.shown = []

    def measuring(self):
        self.words.append("measuring")

    def show(self, values):
        self.shown.append(values)

    def measured(self):
        self.words.append("measured")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    with GatewayProcess(tmp_path_factory.mktemp("gateway") / "log") as process:
        yield process


@pytest.fixture
def watched():
    return Watched()


@pytest.fixture
def nobody():
    """A port that nothing listens on."""
    return free_port()
