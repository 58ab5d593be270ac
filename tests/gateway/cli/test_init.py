from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.init import FOLDERS, StarterExists, StarterNotWritten, init, starter_root
from gateway.config import load_config

ROOT = Path(__file__).parents[3]


def files_below(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_starter_has_what_is_shipped(tmp_path, capsys):
    init(tmp_path / "new" / "home")
    for name in FOLDERS:
        assert files_below(tmp_path / "new" / "home" / name) == files_below(ROOT / name)
    home = tmp_path / "new" / "home"
    assert capsys.readouterr().out == (
        f"penstock: wrote config, devices, handlers, rules to {home}\n"
        f"penstock: next: cd {home} && penstock serve\n"
    )


def test_a_starter_can_be_served_as_it_is(tmp_path):
    init(tmp_path)
    config = load_config(tmp_path / "config" / "gateway.yaml")
    assert config.data_dir.resolve() == tmp_path / "penstock-data"
    assert config.rules_path.is_dir()


def test_a_folder_with_other_things_is_filled(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    init(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("taken", FOLDERS)
def test_nothing_is_overwritten(tmp_path, taken):
    (tmp_path / taken).mkdir()
    (tmp_path / taken / "mine.yaml").write_text("mine")
    with pytest.raises(StarterExists) as caught:
        init(tmp_path)
    assert str(caught.value) == f"{tmp_path} has {taken} already; nothing was copied"
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken / "mine.yaml").read_text() == "mine"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_place_that_can_not_be_written_is_one_error(tmp_path, below):
    (tmp_path / "file").write_text("")
    directory = tmp_path / "file" / below
    with pytest.raises(StarterNotWritten) as caught:
        init(directory)
    assert str(caught.value) == f"can't write to {directory}: Not a directory"


def test_the_starter_lies_in_the_package_or_beside_it():
    assert all((starter_root() / name).is_dir() for name in FOLDERS)
