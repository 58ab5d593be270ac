"""Gateways on ordinary and on faulty disks."""

from __future__ import annotations

import pytest

from tests.harness.faulty_disk import NO_COMPILER, FaultyDisk, built_shim
from tests.harness.gateway_process import GatewayProcess


@pytest.fixture
def disk(tmp_path):
    """A faulty disk that behaves well so far."""
    if built_shim() is None:
        pytest.skip(NO_COMPILER)
    watched = tmp_path / "log"
    watched.mkdir()
    disk = FaultyDisk(watched, tmp_path)
    yield disk
    disk.close()


@pytest.fixture
def gateway_on(disk):
    """A running gateway whose data lie on the faulty disk."""
    with GatewayProcess(disk.watched, environment=disk.environment) as gateway:
        yield gateway
