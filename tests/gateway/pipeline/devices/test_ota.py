from __future__ import annotations

import hashlib
import random

import orjson
import pytest

from gateway.devices import (
    CAMPAIGNS_TABLE,
    DEVICES_TABLE,
    OFFERS_TABLE,
    UPDATES_TABLE,
    Campaign,
    Device,
    DeviceQuery,
    Image,
    OtaOptions,
    decode_campaign,
    decode_update,
    encode_device,
)
from gateway.errors import ChangeRefused
from gateway.pipeline.devices.ota import OtaService
from gateway.store import BlobStore, Put
from gateway.store.blobs.references import REFERENCES_TABLE
from tests.harness.device_services import Bench
from tests.harness.waiting import until

CONTENT = random.Random(3).randbytes(10_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IMAGE = Image("pump", "1.2.0", SHA256, len(CONTENT))


class Site:
    """A log with devices, an image, and what was told past the log."""

    def __init__(self, bench, folder):
        self.bench = bench
        self.blobs = BlobStore(folder, bench.clock)
        self.told = []

    def service(self, **options):
        def tell(topic, payload):
            self.told.append((topic, payload))

        return OtaService(self.blobs, tell, OtaOptions(**options))

    async def register(self, *devices):
        puts = [Put(DEVICES_TABLE, one, encode_device(Device(one))) for one in devices]
        await self.bench.store.append([], puts)

    async def campaign(self):
        return decode_campaign(await self.bench.store.entry(CAMPAIGNS_TABLE, "c1"))

    async def update(self, device, campaign="c1"):
        return decode_update(await self.bench.store.entry(UPDATES_TABLE, f"{campaign}/{device}"))

    async def offers(self):
        return sorted(name for name, _ in await self.bench.store.entries(OFFERS_TABLE))

    async def until_offers(self, *devices):
        async def is_so():
            return await self.offers() == sorted(devices)

        await until(is_so, f"offers to {devices}")

    async def until_state(self, state):
        async def is_so():
            return (await self.campaign()).state == state

        await until(is_so, f"a campaign that is {state}")

    async def say(self, device, state, campaign="c1", **fields):
        payload = {"campaign": campaign, "state": state, **fields}
        await self.bench.publish(f"ota/{device}/status", payload, client=device)

    async def ask(self, device, offset, wanted=b"4096"):
        await self.bench.publish(f"ota/{device}/get/{offset}", wanted, client=device)

    async def until_told(self, count):
        await until(lambda: len(self.told) >= count, f"{count} answers")
        return self.told


@pytest.fixture
async def site(tmp_path):
    site = Site(await Bench().open(), tmp_path)
    site.blobs.put(CONTENT)
    return site


async def add_image(loop, service, image=IMAGE):
    return await loop.ask(lambda turn: service.add_image(image, turn))


async def start(loop, service, *ids, **fields):
    campaign = Campaign(fields.pop("name", "c1"), IMAGE, DeviceQuery(ids), **fields)
    return await loop.ask(lambda turn: service.start(campaign, "pump@1.2.0", turn))


async def change(loop, service, state, name="c1"):
    return await loop.ask(lambda turn: service.change(name, state, turn))


async def test_a_device_gets_the_offer_and_the_bytes_and_ends_the_campaign(site):
    await site.register("pump-1", "valve-1")
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-*")
        await site.until_offers("pump-1")
        retained = orjson.loads(await site.bench.store.entry("retained", "ota/pump-1/offer"))
        assert (retained["sha256"], retained["size"], retained["chunk"]) == (SHA256, 10_000, 4_096)
        for offset in (0, 4_096, 8_192):
            await site.ask("pump-1", offset)
        told = await site.until_told(3)
        assert [topic for topic, _ in told] == [
            f"ota/pump-1/chunk/{offset}" for offset in (0, 4_096, 8_192)
        ]
        assert b"".join(payload for _, payload in told) == CONTENT
        await site.say("pump-1", "downloading", progress=0.4)
        await site.say("pump-1", "verifying", progress=1)
        await site.say("pump-1", "installed", progress=1, version="1.2.0")
        await site.until_state("done")
    assert await site.offers() == []
    assert await site.bench.store.entry("retained", "ota/pump-1/offer") is None
    assert (await site.update("pump-1")).state == "installed"
    assert (await site.campaign()).counts == {"installed": 1}
    held = [key for key, _ in await site.bench.store.entries(REFERENCES_TABLE)]
    assert held == [f"{SHA256}/ota-image/pump@1.2.0"]


async def test_the_next_stage_waits_until_enough_have_installed(site):
    devices = [f"pump-{number}" for number in range(10)]
    await site.register(*devices)
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-*", stages=(10, 50, 100))
        await until(site.offers, "the first offer")
        (first,) = await site.offers()
        await site.say(first, "installed")
        await until(lambda: offered(site, 4), "the second stage")
        for device in await site.offers():
            await site.say(device, "installed")
        await until(lambda: offered(site, 5), "the last stage")
        assert (await site.campaign()).counts == {"installed": 5, "offered": 5}


async def offered(site, count):
    return len(await site.offers()) == count


async def test_failures_halt_a_campaign_and_take_its_offers_back(site):
    devices = [f"pump-{number}" for number in range(10)]
    await site.register(*devices)
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-*", failures_percent=10)
        await site.until_offers(*devices)
        await site.say("pump-3", "failed", reason="flash")
        await site.say("pump-4", "rolled_back")
        await site.until_state("halted")
        await site.until_offers()
        assert (await site.campaign()).reason == "2 of 10 devices failed"
        await site.ask("pump-5", 0)
        ((topic, payload),) = await site.until_told(1)
        assert (topic, orjson.loads(payload)["error"]) == (
            "ota/pump-5/error",
            "nothing is on offer",
        )
        await change(loop, service, "running")
        await site.until_offers(*(one for one in devices if one not in ("pump-3", "pump-4")))
    assert (await site.update("pump-3")).reason == "flash"


async def test_after_a_crash_a_campaign_goes_on_where_it_was(site):
    devices = [f"pump-{number}" for number in range(450)]
    await site.register(*devices)
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-*", stages=(50, 100))
    async with site.bench.at_work(site.service()):
        await until(lambda: offered(site, 225), "every offer of the first stage")
        await site.say((await site.offers())[0], "downloading")
    async with site.bench.at_work(site.service()):
        for device in await site.offers():
            await site.say(device, "installed")
        await until(lambda: offered(site, 225), "every offer of the second stage")
    assert (await site.campaign()).counts == {"installed": 225, "offered": 225}
    assert (await site.campaign()).stage_sizes == (225, 225)


async def test_a_campaign_is_paused_resumed_aborted_and_forgotten(site):
    await site.register("pump-1", "pump-2")
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-*")
        await site.until_offers("pump-1", "pump-2")
        await change(loop, service, "paused")
        await site.until_offers()
        with pytest.raises(ChangeRefused, match="can't be paused: it is paused"):
            await change(loop, service, "paused")
        await change(loop, service, "running")
        await site.until_offers("pump-1", "pump-2")
        with pytest.raises(ChangeRefused, match="isn't over"):
            await loop.ask(lambda turn: service.forget("c1", turn))
        await change(loop, service, "aborted")
        await site.until_offers()
        await loop.ask(lambda turn: service.forget("c1", turn))

        async def is_forgotten():
            return not await site.bench.store.entries(CAMPAIGNS_TABLE)

        await until(is_forgotten, "nothing left")
        assert await site.bench.store.entries(UPDATES_TABLE) == []
        with pytest.raises(ChangeRefused, match="no campaign 'c1'"):
            await loop.ask(lambda turn: service.forget("c1", turn))
        await start(loop, service, "pump-1")


async def test_a_device_takes_part_in_one_campaign_at_a_time(site):
    await site.register("pump-1", "pump-2")
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-1")
        await site.until_offers("pump-1")
        await start(loop, service, "pump-*", name="c2")
        await site.until_offers("pump-1", "pump-2")

        async def is_skipped():
            return (await site.update("pump-1", "c2")).state == "skipped"

        await until(is_skipped, "a device that is skipped")
        assert (await site.update("pump-1", "c2")).reason == "in campaign 'c1'"


async def test_a_rollback_after_the_end_is_still_counted(site):
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "unregistered-but-named")
        await site.until_offers("unregistered-but-named")
        await site.say("unregistered-but-named", "installed")
        await site.until_state("done")
        await site.say("unregistered-but-named", "rolled_back", reason="watchdog")

        async def is_counted():
            return (await site.campaign()).counts == {"rolled_back": 1}

        await until(is_counted, "the rollback")


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("ota/pump-1/status", b"\xff"),
        ("ota/pump-1/status", b'{"campaign": "c9", "state": "installed"}'),
        ("ota/pump-1/status/more", b'{"campaign": "c1", "state": "installed"}'),
        ("ota/pump-2/status", b'{"campaign": "c1", "state": "installed"}'),
        ("ota/pump-1/get/zero", b"4096"),
        ("ota/pump-1/get/99999999", b"4096"),
        ("ota/pump-1/get/0", b"-1"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(site, topic, payload):
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-1")
        await site.until_offers("pump-1")
        await site.bench.publish(topic, payload)
        await site.ask("pump-1", 0, b"1")
        await until(lambda: ("ota/pump-1/chunk/0", CONTENT[:1]) in site.told, "an honest answer")
    assert (await site.campaign()).counts == {"offered": 1}
    assert all("error" in topic for topic, _ in site.told[:-1])


async def test_who_asks_too_often_is_served_at_the_pace_of_the_limits(site):
    service = site.service(device_bytes_per_s=8_192)
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-1")
        await site.until_offers("pump-1")
        for _ in range(30):
            await site.ask("pump-1", 4_096)
        await site.until_told(3)
        await loop.ask(nothing)
        assert len(site.told) == 3
        assert service._pacing.dropped > 0


async def nothing(turn):
    return None


async def test_an_image_that_can_not_be_read_halts_its_campaign(site):
    service = site.service()
    async with site.bench.at_work(service) as loop:
        await add_image(loop, service)
        await start(loop, service, "pump-1")
        await site.until_offers("pump-1")
        site.blobs.path_of(SHA256).unlink()
        await site.ask("pump-1", 0)
        await site.until_state("halted")
        assert (await site.campaign()).reason == "the image can't be read"


async def test_what_cannot_be_is_refused_in_words(site):
    service = site.service()
    async with site.bench.at_work(service) as loop:
        with pytest.raises(ChangeRefused, match="no image 'pump@"):
            await start(loop, service, "pump-1")
        with pytest.raises(ChangeRefused, match="there is no blob"):
            await add_image(loop, service, Image("pump", "1.2.0", "0" * 64, 1))
        await add_image(loop, service)
        other = site.blobs.put(b"other")
        with pytest.raises(ChangeRefused, match="has other bytes"):
            await add_image(loop, service, Image("pump", "1.2.0", other, 5))
        with pytest.raises(ChangeRefused, match="no active device"):
            await start(loop, service, "pump-*")
        with pytest.raises(ChangeRefused, match="growing percentages"):
            await start(loop, service, "pump-1", stages=(50,))
        await start(loop, service, "pump-1")
        with pytest.raises(ChangeRefused, match="a campaign 'c1' already"):
            await start(loop, service, "pump-1")
        with pytest.raises(ChangeRefused, match="it is over, or unknown"):
            await change(loop, service, "paused", "c9")
        await loop.ask(lambda turn: service.remove_image("pump@1.2.0", turn))
        with pytest.raises(ChangeRefused, match="no image"):
            await loop.ask(lambda turn: service.remove_image("pump@1.2.0", turn))
        held = [key for key, _ in await site.bench.store.entries(REFERENCES_TABLE)]
        assert held == [f"{SHA256}/ota-campaign/c1"]
