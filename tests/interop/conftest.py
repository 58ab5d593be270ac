"""One gateway for all third-party clients of a module."""

from __future__ import annotations

import pytest

from tests.harness.gateway_process import GatewayProcess


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with GatewayProcess(tmp_path_factory.mktemp("interop") / "log") as gateway:
        yield gateway
        assert "Traceback" not in gateway.output
