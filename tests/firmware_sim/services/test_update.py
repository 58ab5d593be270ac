from __future__ import annotations

import base64
import hashlib
from collections import Counter

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_sim.services.deeds import Ask, Restart, Tell
from firmware_sim.services.spec import UpdatesSpec
from firmware_sim.services.update import ASK_AGAIN_MOST_MS, ASK_AGAIN_MS, Stage, Update

IMAGE = bytes(range(256)) * 5
CHUNK = 100


class Bench:
    """A device that updates itself, and a gateway that has the image."""

    def __init__(self, image=IMAGE, key=1, **spec):
        self.image = image
        self.now_ms = 0
        self.counts = Counter()
        self.update = Update(UpdatesSpec(**spec), "p", key, lambda what: self.counts.update([what]))
        self.states = []
        self.asked = []
        self.restarts = 0

    def offer(self, **changes):
        offer = {
            "campaign": "c1",
            "version": "2.0.0",
            "size": len(self.image),
            "sha256": hashlib.sha256(self.image).hexdigest(),
            "signature": None,
            "chunk": CHUNK,
        } | changes
        self.take(self.update.hear_offer(orjson.dumps(offer), offer, self.now_ms))

    def take(self, deeds):
        for deed in deeds:
            if isinstance(deed, Ask):
                self.asked.append((int(deed.topic.rpartition("/")[2]), int(deed.payload)))
            elif isinstance(deed, Tell):
                status = orjson.loads(deed.payload)
                self.states.append((status["state"], status["progress"]))
            elif isinstance(deed, Restart):
                self.restarts += 1

    def deliver(self, chunks=1_000):
        """Answer what is asked for, at most so often."""
        for _ in range(chunks):
            if not self.asked:
                return
            offset, count = self.asked.pop()
            chunk = self.image[offset : offset + count]
            self.take(self.update.hear_chunk(offset, chunk, self.now_ms))

    def words(self):
        return [state for state, _ in self.states]


def test_an_update_is_fetched_verified_installed_and_told():
    bench = Bench()
    bench.offer()
    bench.deliver()
    assert bench.restarts == 1
    bench.take(bench.update.booted())
    assert bench.update.version == "2.0.0"
    assert bench.words() == ["downloading"] * 4 + ["verifying", "installed"]
    assert [progress for _, progress in bench.states] == sorted(p for _, p in bench.states)


def test_an_offer_that_comes_again_resumes_where_the_flash_stands():
    bench = Bench()
    bench.offer()
    bench.deliver(5)
    bench.update.lost()
    bench.asked.clear()
    assert bench.update.next_due_ms is None
    bench.offer()
    assert bench.asked == [(500, CHUNK)]
    bench.deliver()
    assert bench.update.stage is Stage.INSTALLING
    assert bench.counts["updates_resumed"] == 1


def test_another_offer_begins_anew_and_none_forgets():
    bench = Bench()
    bench.offer()
    bench.deliver(5)
    bench.asked.clear()
    bench.offer(campaign="c2")
    assert bench.asked == [(0, CHUNK)]
    bench.take(bench.update.hear_offer(b"", None, 0))
    assert bench.update.stage is Stage.IDLE
    assert bench.update.next_due_ms is None


def test_what_does_not_come_is_asked_for_again_ever_more_slowly():
    bench = Bench()
    bench.offer()
    waits = []
    for _ in range(8):
        due_ms = bench.update.next_due_ms
        waits.append(due_ms - bench.now_ms)
        bench.take(bench.update.advance(due_ms - 1))
        bench.now_ms = due_ms
        bench.take(bench.update.advance(due_ms))
    assert waits[0] == ASK_AGAIN_MS
    assert waits == sorted(waits)
    assert waits[-1] == ASK_AGAIN_MOST_MS
    assert set(bench.asked) == {(0, CHUNK)}


@pytest.mark.parametrize(
    ("offset", "chunk"),
    [(100, b"x"), (-1, b"x"), (0, b""), (0, b"x" * (len(IMAGE) + 1))],
)
def test_a_chunk_that_was_not_asked_for_changes_nothing(offset, chunk):
    bench = Bench()
    bench.offer()
    bench.take(bench.update.hear_chunk(offset, chunk, 0))
    assert bench.counts["chunks_ignored"] == 1
    bench.deliver()
    assert bench.update.stage is Stage.INSTALLING


def test_an_image_with_another_digest_is_not_installed_nor_tried_again():
    bench = Bench()
    bench.offer(sha256="00" * 32)
    bench.deliver()
    assert bench.words()[-1] == "failed"
    bench.offer(sha256="00" * 32)
    assert not bench.asked
    assert not bench.restarts


@pytest.mark.parametrize(
    ("signer", "state"), [("owner", "verifying"), ("thief", "failed"), (None, "failed")]
)
def test_only_what_the_owner_signed_is_installed(signer, state):
    keys = {name: Ed25519PrivateKey.generate() for name in ("owner", "thief")}
    bench = Bench(public_key=keys["owner"].public_key().public_bytes_raw())
    signature = None
    if signer:
        signed = keys[signer].sign(hashlib.sha256(IMAGE).digest())
        signature = base64.b64encode(signed).decode()
    bench.offer(signature=signature)
    bench.deliver()
    assert bench.words()[-1] == state


def fate(key, **spec):
    bench = Bench(key=key, **spec)
    bench.offer()
    bench.deliver()
    bench.take(bench.update.booted())
    return bench.words()[-1], bench.update.version


def test_by_chance_an_update_fails_or_rolls_back_and_the_same_one_every_time():
    fates = [fate(key, fails=0.3, rolls_back=0.3) for key in range(100)]
    assert fates == [fate(key, fails=0.3, rolls_back=0.3) for key in range(100)]
    assert set(fates) == {
        ("failed", "1.0.0"),
        ("rolled_back", "1.0.0"),
        ("installed", "2.0.0"),
    }


def test_a_boot_without_an_update_says_nothing():
    assert Bench().update.booted() == []
