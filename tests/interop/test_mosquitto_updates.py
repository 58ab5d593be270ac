"""A whole update over the air by mosquitto's commands, as the script of docs/ota.md does it."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.errors import PenstockError
from tests.harness.service_desk import run
from tests.harness.waiting import wait_for

TOOLS = ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "sha256sum")
DOCUMENT = Path(__file__).parents[2] / "docs" / "ota.md"
CONTENT = random.Random(11).randbytes(60_000)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason="mosquitto's commands are not installed"
    ),
]


def add_image(gateway, path):
    try:
        return run(gateway.data, "ota", "add-image", path, "--version", "2.0")
    except PenstockError:
        return ""


def test_the_script_of_the_document_updates_a_machine_and_resumes(gateway, tmp_path):
    (script,) = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "update.sh").write_text(script)
    (tmp_path / "image").write_bytes(CONTENT)
    # Its socket opens a moment after its port.
    assert wait_for(lambda: add_image(gateway, tmp_path / "image"), "the image")
    run(gateway.data, "ota", "start", "c1", "--image", "firmware@2.0", "--device", "shell-1")
    # What an earlier run has brought.
    (tmp_path / "got").write_bytes(CONTENT[:30_000])
    subprocess.run(
        ["sh", tmp_path / "update.sh", "shell-1", tmp_path / "got", "127.0.0.1", str(gateway.port)],
        timeout=60,
        check=True,
    )
    assert hashlib.sha256((tmp_path / "got").read_bytes()).digest() == (
        hashlib.sha256(CONTENT).digest()
    )
    assert wait_for(
        lambda: "done" in run(gateway.data, "ota", "status", "c1"), "the end of the campaign"
    )
