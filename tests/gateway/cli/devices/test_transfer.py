from __future__ import annotations

import stat

import pytest

from gateway.cli.devices.transfer import FileNotUsable, read_devices
from gateway.devices import DeviceInvalid
from gateway.errors import DocumentInvalid
from tests.gateway.cli.devices.test_registering import ids, run, show


def test_devices_are_imported_with_new_keys_in_a_file_of_their_own(tmp_path):
    file, keys = tmp_path / "devices.csv", tmp_path / "keys.csv"
    file.write_text("device,profile,tag:site\na,pump,n\nb,pump,\n")
    assert "2 devices registered" in run(tmp_path / "log", "import", file, "--new-keys", keys)
    assert [line.partition(",")[0] for line in keys.read_text().splitlines()] == [
        "device",
        "a",
        "b",
    ]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert show(tmp_path / "log", "a")["tags"] == {"site": "n"}
    with pytest.raises(FileNotUsable, match=r"can't write .*keys.csv"):
        run(tmp_path / "log", "import", file, "--update", "--new-keys", keys)


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_what_is_exported_is_imported_elsewhere(tmp_path, name):
    run(tmp_path / "one", "add", "a", "--tag", "site=n")
    run(tmp_path / "one", "rotate", "a")
    run(tmp_path / "one", "export", tmp_path / name)
    run(tmp_path / "two", "import", tmp_path / name)
    one, two = show(tmp_path / "one", "a"), show(tmp_path / "two", "a")
    assert [key["name"] for key in one["keys"]] == [key["name"] for key in two["keys"]]
    assert one["tags"] == two["tags"]
    assert run(tmp_path / "two", "export").startswith('{"device":"a"')
    assert run(tmp_path / "two", "export", "--csv").startswith("device,status")


def test_what_is_registered_is_changed_only_when_that_is_wanted(tmp_path):
    file = tmp_path / "devices.csv"
    file.write_text("device,profile\na,x\n")
    run(tmp_path / "log", "add", "a")
    with pytest.raises(DocumentInvalid, match="'a' and 0 others are registered already"):
        run(tmp_path / "log", "import", file)
    run(tmp_path / "log", "import", file, "--update")
    found = show(tmp_path / "log", "a")
    assert (found["profile"], len(found["keys"]), found["generation"]) == ("x", 1, 2)


def test_every_wrong_row_is_told_with_its_line_and_nothing_is_changed(tmp_path):
    text = "device\na/b\na\na\n"
    with pytest.raises(DocumentInvalid) as caught:
        read_devices(text, "f.csv")
    assert [one.line for one in caught.value.complaints] == [2, 4]
    file = tmp_path / "f.csv"
    file.write_text(text)
    run(tmp_path / "log", "add", "x")
    with pytest.raises(DocumentInvalid):
        run(tmp_path / "log", "import", file)
    assert ids(tmp_path / "log") == ["x"]


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(FileNotUsable, match="can't read"):
        run(tmp_path, "import", tmp_path / "absent.csv")
    with pytest.raises(DeviceInvalid):
        read_devices("[", "f")
