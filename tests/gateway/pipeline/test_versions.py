from __future__ import annotations

import subprocess
import sys

from gateway.pipeline.versions import facts_at, read_version
from gateway.rules import load_rules
from gateway.store import StreamSpec
from gateway.store.memory import MemoryStore

RULES = """\
version: 1
lookups:
  limits: {file: limits.csv, key: device}
rules: [{id: r, from: p/#, key: device, enrich: {lim: "limits[device]"},
         when: payload.x > lim.max}]
"""
TWINS = StreamSpec("twins", 1)
LEAN = "import gateway.app, gateway.pipeline, sys; print('gateway.rules' in sys.modules)"


def test_a_look_up_is_read_from_its_file(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "limits.csv").write_text("device,max\nm1,5\n")
    lookup = load_rules([tmp_path / "rules.yaml"]).lookups["limits"]
    assert read_version(lookup).lookup == "limits"


def test_the_gateway_imports_none_of_the_engine():
    command = [sys.executable, "-c", LEAN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_a_log_without_devices_holds_no_facts_of_them():
    store = MemoryStore()
    await store.ensure(TWINS)
    assert await facts_at(store, 0) == []
