from __future__ import annotations

import pytest

from gateway.config import load_config
from gateway.devices import OtaOptions
from gateway.errors import DocumentInvalid


def load(tmp_path, text):
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\n{text}\n")
    return load_config(path).ota


def test_the_rates_of_updates_are_read(tmp_path):
    assert load(tmp_path, "") == OtaOptions()
    assert load(tmp_path, "ota: {rate: 1MiB}") == OtaOptions(bytes_per_s=1 << 20)
    assert load(tmp_path, "ota: {device_rate: 64KiB}") == OtaOptions(device_bytes_per_s=64 << 10)


@pytest.mark.parametrize("text", ["ota: {rate: 0}", "ota: {rate: 2GiB}", "ota: {speed: 1MiB}"])
def test_what_is_no_rate_is_refused_with_its_place(tmp_path, text):
    with pytest.raises(DocumentInvalid, match=r"gateway\.yaml:2:"):
        load(tmp_path, text)
