"""`penstock devices ota`: firmware images, and campaigns that bring them to devices."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson
import typer

from gateway.cli.devices.asking import ask_gateway, who
from gateway.cli.devices.registering import tags_of
from gateway.cli.devices.registry_access import CONFIG, DATA, log_dir_of
from gateway.cli.main import fail
from gateway.cli.record_lines import iso_time, printable
from gateway.clock import SystemClock
from gateway.devices import (
    CAMPAIGNS_TABLE,
    CHUNK_BYTES,
    IMAGES_TABLE,
    UPDATES_TABLE,
    Campaign,
    DeviceQuery,
    Image,
    Update,
    UpdateRefused,
    check_campaign,
    check_image,
    decode_campaign,
    decode_image,
    decode_update,
    key_of_update,
    shown_campaign,
)
from gateway.errors import PenstockError
from gateway.store import BlobStore, open_reader

BAD_USAGE = 2
JSON = typer.Option(False, "--json", help="Print JSON: an object, or one a line.")
CAMPAIGN = typer.Argument(help="The campaign's name.")
app = typer.Typer(help="Bring firmware to devices over the air.", no_args_is_help=True)


@app.command("add-image")
def add_image(
    file: Path = typer.Argument(help="The image."),
    version: str = typer.Option(..., help="What a device calls it, such as 1.2.0."),
    name: str = typer.Option("firmware", help="What the image is for; name@version names it."),
    sign: Path | None = typer.Option(
        None, help="Sign it with this ed25519 key: a PEM file, or 32 raw bytes."
    ),
    signature: str = typer.Option(
        "", help="A signature of the image's SHA-256 that was made elsewhere, in base64."
    ),
    public_key: Path | None = typer.Option(
        None, help="See that the signature is this key's: a PEM file, or 32 raw bytes."
    ),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Give the gateway an image; it is kept as a blob beside the log."""
    content = _read(file)
    digest = hashlib.sha256(content).digest()
    signed = _signature(digest, sign, signature)
    if public_key is not None:
        _verify(public_key, signed, digest)
    image = Image(name, version, digest.hex(), len(content), signed, by=who())
    check_image(image)
    data_dir = log_dir_of(data, config)
    BlobStore(data_dir, SystemClock()).put(content)
    wanted = msgspec.msgpack.encode(image)
    found = asyncio.run(ask_gateway(data_dir, "ota.add-image", wanted))
    shown = {**found, "sha256": image.sha256, "size_bytes": len(content), "signed": bool(signed)}
    _print(shown, f"{image.id}: {len(content)} bytes, sha256 {image.sha256}", as_json=json)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PenstockError(f"{file} can't be read: {error.strerror}") from error


def _signature(digest: bytes, key: Path | None, text: str) -> bytes:
    """The signature as it is given, or made with a key; empty without either."""
    if key is not None and text:
        fail("use one of --sign and --signature", BAD_USAGE)
    if key is not None:
        from gateway.cli.devices.signing import sign_digest

        return sign_digest(_read(key), digest)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise UpdateRefused("--signature is base64") from None


def _verify(public_key: Path, signature: bytes, digest: bytes) -> None:
    from gateway.cli.devices.signing import check_signature

    check_signature(_read(public_key), signature, digest)


@app.command("remove-image")
def remove_image(
    image: str = typer.Argument(help="The image, such as firmware@1.2.0."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Forget an image; campaigns that have begun keep theirs."""
    found = asyncio.run(ask_gateway(log_dir_of(data, config), "ota.remove-image", image))
    _print(found, f"{image}: removed", as_json=json)


@app.command("start")
def start(
    campaign: str = CAMPAIGN,
    image: str = typer.Option(..., help="The image, such as firmware@1.2.0."),
    device: list[str] = typer.Option(
        [], help="Which devices: an id or a pattern such as 'pump-*'; may be said again."
    ),
    profile: str = typer.Option("", help="Only devices with this profile."),
    tag: list[str] = typer.Option([], help="Only devices with this tag: NAME=TEXT."),
    stages: str = typer.Option("100", help="Percentages of the devices, such as 5,25,100."),
    failures: int = typer.Option(
        10, help="Halt when more than this percentage of the devices so far have failed."
    ),
    advance: int = typer.Option(
        90, help="Open the next stage when this percentage of the devices so far have installed."
    ),
    chunk: int = typer.Option(CHUNK_BYTES, help="Bytes that a device may ask for at once."),
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Begin to bring an image to devices, stage by stage."""
    if not (device or profile or tag):
        fail("say which devices: --device, --profile or --tag; --device '*' is all", BAD_USAGE)
    query = DeviceQuery(tuple(device), profile, tags_of(tag))
    nothing = Image(*image.rpartition("@")[::2], "0" * 64, 1)
    wanted = Campaign(
        campaign,
        nothing,
        query,
        stages=_stages(stages),
        failures_percent=failures,
        advance_percent=advance,
        chunk_bytes=chunk,
        by=who(),
    )
    check_campaign(wanted)
    encoded = msgspec.msgpack.encode(wanted)
    found = asyncio.run(ask_gateway(log_dir_of(data, config), "ota.start", encoded, image))
    _print(found, line_of(found), as_json=json)


def _stages(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part.strip().removesuffix("%")) for part in text.split(","))
    except ValueError:
        fail(f"--stages {text!r}: write percentages such as 5,25,100", BAD_USAGE)


@app.command("pause")
def pause(
    campaign: str = CAMPAIGN,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Take every offer back until `resume`; devices that have begun lose nothing."""
    _change(campaign, "paused", log_dir_of(data, config), as_json=json)


@app.command("resume")
def resume(
    campaign: str = CAMPAIGN,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Go on with a campaign that was paused, or that failures have halted."""
    _change(campaign, "running", log_dir_of(data, config), as_json=json)


@app.command("abort")
def abort(
    campaign: str = CAMPAIGN,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """End a campaign: nothing is on offer any more."""
    _change(campaign, "aborted", log_dir_of(data, config), as_json=json)


def _change(campaign: str, state: str, data_dir: Path, *, as_json: bool) -> None:
    found = asyncio.run(ask_gateway(data_dir, "ota.change", campaign, state))
    _print(found, line_of(found), as_json=as_json)


@app.command("forget")
def forget(
    campaign: str = CAMPAIGN,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Remove a campaign that is over, with what its devices said."""
    found = asyncio.run(ask_gateway(log_dir_of(data, config), "ota.forget", campaign))
    _print(found, f"{campaign}: forgotten", as_json=json)


@app.command("list")
def list_campaigns(
    data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON
) -> None:
    """List the campaigns, by name."""
    for encoded in asyncio.run(_entries(log_dir_of(data, config), CAMPAIGNS_TABLE)).values():
        found = shown_campaign(decode_campaign(encoded))
        _print(found, line_of(found), as_json=json)


@app.command("images")
def list_images(data: Path | None = DATA, config: Path | None = CONFIG, json: bool = JSON) -> None:
    """List the images, by name."""
    for encoded in asyncio.run(_entries(log_dir_of(data, config), IMAGES_TABLE)).values():
        image = decode_image(encoded)
        shown = {
            "image": image.id,
            "size_bytes": image.size_bytes,
            "sha256": image.sha256,
            "signed": bool(image.signature),
            "added_ms": image.added_ms,
            "by": image.by,
        }
        text = f"{image.id}  {image.size_bytes} bytes  {image.sha256}"
        _print(shown, text + ("  signed" if image.signature else ""), as_json=json)


@app.command("status")
def status(
    campaign: str = CAMPAIGN,
    data: Path | None = DATA,
    config: Path | None = CONFIG,
    json: bool = JSON,
) -> None:
    """Show a campaign and how each of its devices stands."""
    data_dir = log_dir_of(data, config)
    encoded = asyncio.run(_entries(data_dir, CAMPAIGNS_TABLE)).get(campaign)
    if encoded is None:
        raise PenstockError(f"there is no campaign '{campaign}'; see 'penstock devices ota list'")
    found = shown_campaign(decode_campaign(encoded))
    prefix = key_of_update(campaign, "")
    updates = {
        key.removeprefix(prefix): decode_update(value) or Update()
        for key, value in asyncio.run(_entries(data_dir, UPDATES_TABLE, prefix)).items()
    }
    if json:
        own = {device: msgspec.to_builtins(update) for device, update in updates.items()}
        print(orjson.dumps({**found, "updates": own}).decode())
        return
    for line in (line_of(found), *lines_of(updates)):
        print(line)


def line_of(campaign: Mapping[str, Any]) -> str:
    """A campaign for people, in one line."""
    counts = ", ".join(f"{count} {state}" for state, count in campaign["counts"].items())
    place = f"stage {campaign['stage']} of {len(campaign['stages'])}"
    why = f": {campaign['reason']}" if campaign["reason"] else ""
    return (
        f"{campaign['campaign']}  {campaign['image']}  {campaign['state']}{why}  {place}  "
        f"{campaign['devices']} devices  {counts}"
    ).rstrip()


def lines_of(updates: Mapping[str, Update]) -> Iterator[str]:
    """How devices stand, for people, a line for each."""
    for device, update in updates.items():
        progress = f" {update.progress:.0%}" if update.state == "downloading" else ""
        why = f"  {printable(update.reason)}" if update.reason else ""
        yield f"  {device}  {update.state}{progress}  {iso_time(update.changed_ms)}{why}"


async def _entries(data_dir: Path, table: str, prefix: str = "") -> dict[str, bytes]:
    reader = await open_reader(data_dir)
    try:
        return dict(await reader.entries(table, prefix))
    finally:
        await reader.close()


def _print(found: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    print(orjson.dumps(dict(found)).decode() if as_json else text)
