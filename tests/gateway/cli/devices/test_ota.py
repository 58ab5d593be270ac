from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.devices import app
from gateway.devices import UpdateRefused
from gateway.errors import PenstockError, StoreError
from tests.harness.service_desk import run
from tests.harness.update_desk import command, updates_on
from tests.harness.waiting import until


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.bin"
    path.write_bytes(b"image" * 1_000)
    return path


async def test_an_image_goes_out_and_every_command_shows_how_it_stands(tmp_path, image):
    data_dir = tmp_path / "log"
    async with updates_on(data_dir) as bench:
        added = json.loads(await command(data_dir, "add-image", image, "--version", "1", "--json"))
        assert (added["image"], added["size_bytes"], added["signed"]) == (
            "firmware@1",
            5_000,
            False,
        )
        assert (await command(data_dir, "images")).startswith("firmware@1  5000 bytes")
        options = ["--image", "firmware@1", "--device", "d1", "--device", "d2", "--json"]
        started = json.loads(await command(data_dir, "start", "c1", *options))
        assert (started["campaign"], started["devices"]) == ("c1", 2)
        status = {"campaign": "c1", "state": "failed", "reason": "no\troom"}

        async def is_offered():
            return '"offered":2' in await command(data_dir, "status", "c1", "--json")

        await until(is_offered, "the offers")
        await bench.publish("ota/d1/status", status)
        await bench.until_said("ota", 3, "c1")
        lines = (await command(data_dir, "status", "c1")).splitlines()
        assert "halted: 1 of 2 devices failed  stage 1 of 1  2 devices" in lines[0]
        assert "failed" in lines[1]
        assert lines[1].endswith("no\\troom")
        assert "halted" in await command(data_dir, "list")
        assert "running" in await command(data_dir, "resume", "c1")
        assert "paused" in await command(data_dir, "pause", "c1")
        assert json.loads(await command(data_dir, "abort", "c1", "--json"))["state"] == "aborted"
        assert await command(data_dir, "remove-image", "firmware@1") == "firmware@1: removed\n"
        with pytest.raises(StoreError, match="can't be paused"):
            await command(data_dir, "pause", "c1")

        async def is_forgotten():
            try:
                return await command(data_dir, "forget", "c1")
            except StoreError:
                return ""

        assert await until(is_forgotten, "a campaign that is over") == "c1: forgotten\n"


async def test_a_signed_image_says_so(tmp_path, image):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = tmp_path / "key", tmp_path / "key.pub"
    private.write_bytes(key.private_bytes_raw())
    public.write_bytes(key.public_key().public_bytes_raw())
    data_dir = tmp_path / "log"
    options = ["add-image", image, "--version", "1", "--sign", private, "--public-key", public]
    async with updates_on(data_dir):
        await command(data_dir, *options)
        (shown,) = (await command(data_dir, "images")).splitlines()
    assert shown.endswith("signed")


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "c1", "--image", "firmware@1"],
        ["start", "c1", "--image", "firmware@1", "--device", "d", "--stages", "some"],
        ["add-image", "IMAGE", "--version", "1", "--sign", "IMAGE", "--signature", "AA=="],
    ],
)
def test_bad_usage_is_said_before_the_gateway_is_asked(tmp_path, image, arguments):
    told = [str(image) if one == "IMAGE" else one for one in arguments]
    result = CliRunner().invoke(app, ["ota", *told, "--data", str(tmp_path)])
    assert result.exit_code == 2


def test_what_cannot_be_is_said_in_words(tmp_path, image):
    with pytest.raises(UpdateRefused, match="version 'a b'"):
        run(tmp_path, "ota", "add-image", image, "--version", "a b")
    with pytest.raises(UpdateRefused, match="is base64"):
        run(tmp_path, "ota", "add-image", image, "--version", "1", "--signature", "?")
    with pytest.raises(PenstockError, match="can't be read"):
        run(tmp_path, "ota", "add-image", tmp_path / "none", "--version", "1")
    with pytest.raises(UpdateRefused, match="growing percentages"):
        run(tmp_path, "ota", "start", "c", "--image", "a@1", "--device", "d", "--stages", "50")


async def test_a_campaign_that_is_unknown_is_said(tmp_path):
    async with updates_on(tmp_path / "log"):
        pass
    with pytest.raises(PenstockError, match="no campaign 'c9'"):
        await asyncio.to_thread(run, tmp_path / "log", "ota", "status", "c9")
