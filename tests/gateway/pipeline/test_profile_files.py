from __future__ import annotations

import asyncio
import os

import pytest

from gateway.devices import load_profiles
from gateway.pipeline.profile_files import ProfileFiles, stamp_of
from tests.harness.waiting import until

PUMP = 'version: 1\nprofile: pump\ntopics: ["plant/{device}/t"]\n'
VALVE = 'version: 1\nprofile: valve\ntopics: ["valve/{device}/t"]\n'


class Folder:
    """Profiles in a folder that can be written anew."""

    def __init__(self, path):
        self.path = path
        self.count = 0
        self.write("pump", PUMP)
        self.book = load_profiles([path])
        self.renewed = []
        self.invalid = []
        self.book.watch(lambda: self.renewed.append(self.names))

    @property
    def names(self):
        return sorted(one.name for one in self.book.profiles)

    def write(self, name, text):
        path = self.path / f"{name}.yaml"
        path.write_text(text)
        self.count += 1
        os.utime(path, ns=(self.count, self.count))

    def files(self, interval_ms=0):
        load = lambda: load_profiles([self.path])  # noqa: E731 - as the gateway gives it
        return ProfileFiles(self.path, load, self.book, interval_ms, self.invalid.append)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


async def test_what_has_changed_is_taken_over_as_a_whole(folder, caplog):
    caplog.set_level("INFO")
    files = folder.files()
    await files.look()
    assert folder.renewed == []
    folder.write("valve", VALVE)
    folder.write("pump", PUMP.replace("plant", "hall"))
    await files.look()
    assert folder.renewed == [["pump", "valve"]]
    assert folder.book.profile_of("hall/a/t").name == "pump"
    assert folder.book.decoder_of("valve/a/t") is not None
    assert "1 new, 1 changed, 0 gone, 2 in all" in caplog.text


async def test_a_bad_file_leaves_everything_as_it_was_and_says_why(folder, caplog):
    files = folder.files()
    folder.write("valve", VALVE + "fields: {t: {max: x}}\nmore: 1\n")
    await files.look()
    assert (folder.names, folder.renewed) == (["pump"], [])
    assert "valve.yaml:4:19: 'x' is not a number" in folder.invalid[0]
    assert "and 1 more" in folder.invalid[0]
    assert "the profiles stay as they were" in caplog.text
    # It is said once, and again only when the file is another.
    await files.look()
    assert len(folder.invalid) == 1
    folder.write("valve", VALVE)
    await files.look()
    assert folder.names == ["pump", "valve"]


async def test_a_schema_beside_the_profiles_is_looked_at_too(folder):
    before = stamp_of(folder.path)
    (folder.path / "pump.json").write_text("{}")
    assert stamp_of(folder.path) != before
    assert stamp_of(folder.path / "none") == ()
    assert len(stamp_of(folder.path / "pump.yaml")) == 1


@pytest.mark.parametrize("interval_ms", [0, 1])
async def test_files_are_read_when_asked_and_when_it_is_time(folder, interval_ms):
    files = folder.files(interval_ms)
    watching = asyncio.create_task(files.run())
    folder.write("valve", VALVE)
    if not interval_ms:
        files.touch()
    await until(lambda: folder.names == ["pump", "valve"], "the new profile")
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
