from __future__ import annotations

import pytest

from gateway.cli.devices.asking import NoGateway, ask_gateway


async def test_nobody_answers_where_no_gateway_runs(tmp_path):
    with pytest.raises(NoGateway, match="start it with 'penstock serve'"):
        await ask_gateway(tmp_path, "twin.set")
