from __future__ import annotations

import orjson
import pytest

from firmware_sim.credentials import check_credentials, read_credentials
from firmware_sim.failures import SimulationFailed

ROWS = [{"device": "p-1", "key": "pk1.a"}, {"device": "p-2", "key": "pk1.b", "role": "device"}]
KEYS = {"p-1": "pk1.a", "p-2": "pk1.b"}


@pytest.mark.parametrize(
    "text",
    [
        "device,key\np-1,pk1.a\np-2,pk1.b\n",
        "device,status,key\np-1,active,pk1.a\np-2,,pk1.b\np-3,,\n",
        orjson.dumps(ROWS).decode(),
        "\n".join(orjson.dumps(row).decode() for row in ROWS) + "\n",
    ],
)
def test_keys_are_read_from_csv_and_json(tmp_path, text):
    (tmp_path / "keys").write_text(text)
    assert read_credentials(tmp_path / "keys") == KEYS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no keys"),
        (b"device,key_sha256\np-1,00\n", "an export has none"),
        (b'{"device": ', "neither JSON nor CSV"),
        (b'["p-1"]', "has no keys"),
        (b"\xff", "can't read"),
        (b'device,key\n"p-1,x', "neither JSON nor CSV"),
    ],
)
def test_a_file_without_keys_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(SimulationFailed, match=message):
        read_credentials(tmp_path / "keys")


def test_every_device_needs_a_key(tmp_path):
    check_credentials(KEYS, ["p-1", "p-2"], tmp_path)
    with pytest.raises(SimulationFailed, match="has no key for p-3; 'penstock sim devices'"):
        check_credentials(KEYS, ["p-1", "p-3"], tmp_path)
    with pytest.raises(SimulationFailed, match="for x0, x1, x2 and 2 more"):
        check_credentials(KEYS, [f"x{number}" for number in range(5)], tmp_path)
