"""The life of alarms: an engine that can be asked and restarted, and its slow obvious twin."""

from __future__ import annotations

from gateway.rules import Transition
from gateway.rules.alarm_topics import alarm_topic
from tests.harness.rule_runs import Tape, engine_of, save


class Plant:
    """One engine, and what its alarms did, as (rule, key, event, state, suppressed)."""

    def __init__(self, text):
        self.text = text
        self.engine, self.tape, self.outputs, self.table = engine_of(text), Tape(), [], {}

    def take(self, batches):
        outputs = self.engine.feed(batches)
        self.outputs += outputs
        return told(outputs)

    def event(self, now_ms, x, *, device="m1", topic=None):
        where = topic or f"plant/{device}"
        return self.take(self.tape.event({"x": x}, topic=where, device=device, arrival=now_ms))

    def tick(self, now_ms):
        return self.take(self.tape.tick(now_ms))

    def ask(self, now_ms, verb, payload=b"", *, key="m1", rule="hot"):
        topic = f"{alarm_topic(rule, key)}/{verb}"
        return self.take(self.tape.event(payload, topic=topic, arrival=now_ms, client="anna"))

    def restart(self):
        save(self.engine, self.table)
        self.engine = engine_of(self.text)
        self.engine.restore(sorted(self.table.items()))


def told(outputs):
    return [
        (o.rule, o.key, o.event, o.state, o.suppressed)
        for o in outputs
        if isinstance(o, Transition)
    ]


class Twin:
    """The life of alarms, told again without any structure that must be kept right."""

    def __init__(self, *, latch, cooldown, limit, remind, active_max):
        self.latch, self.cooldown, self.limit = latch, cooldown, limit
        self.remind, self.active_max = remind, active_max
        self.alarms, self.told_at, self.stamps, self.log = {}, {}, [], []
        self.now, self.order = 0, 0

    def standing(self, *, surplus):
        return [
            key
            for key, one in self.alarms.items()
            if (one["up"] or one["latched"]) and one["surplus"] is surplus
        ]

    def state(self, one):
        if one["shelf"]:
            return "shelved"
        if one["latched"]:
            return "cleared-unacked"
        return ("acked" if one["acked"] else "raised") if one["up"] else "idle"

    def write(self, key, event, quiet=""):
        self.log.append((key, event, self.state(self.alarms[key]), quiet))

    def quiet(self, key, *, cools):
        one = self.alarms[key]
        if one["surplus"]:
            return "active_max"
        if one["shelf"]:
            return "shelved"
        last = self.told_at.get(key)
        if cools and self.cooldown and last is not None and self.now < last + self.cooldown:
            return "cooldown"
        if self.limit and sum(stamp > self.now - 1_000 for stamp in self.stamps) >= self.limit:
            return "limit"
        self.stamps.append(self.now)
        if cools:
            self.told_at[key] = self.now
        return ""

    def blank(self):
        flags = dict.fromkeys(("up", "acked", "latched", "told", "surplus"), False)
        return {**flags, "shelf": 0, "quiet": "", "remind": None, "raised": 0}

    def announce(self, key, event):
        one = self.alarms[key]
        one["quiet"] = self.quiet(key, cools=True)
        one["told"] = not one["quiet"]
        self.write(key, event, one["quiet"])

    def elapse(self, now):
        self.now = now
        while True:
            due = [
                (when, key)
                for key, one in self.alarms.items()
                for when in (one["shelf"] or None, one["remind"])
                if when is not None and when <= now
            ]
            if not due:
                return
            when, key = min(due)
            one = self.alarms[key]
            if one["shelf"] == when:
                self.unshelve(key)
            else:
                one["remind"] = now + self.remind
                quiet = self.quiet(key, cools=False)
                one["told"] |= not quiet
                self.write(key, "reminded", quiet)

    def unshelve(self, key):
        one = self.alarms[key]
        one["shelf"] = 0
        self.write(key, "unshelved")
        if not (one["up"] or one["latched"]):
            del self.alarms[key]
        elif one["quiet"] == "shelved" and one["up"] and not one["told"] and not one["acked"]:
            self.announce(key, "reminded")

    def value(self, key, is_high):
        one = self.alarms.get(key)
        if is_high and not (one and one["up"]):
            self.rise(key)
        elif not is_high and one and one["up"]:
            one["up"] = False
            if self.latch and not one["acked"]:
                one["latched"] = True
                self.write(key, "latched", "" if one["told"] else one["quiet"])
            else:
                self.close(key)

    def rise(self, key):
        one = self.alarms.setdefault(key, self.blank())
        if not one["latched"]:
            one["surplus"] = len(self.standing(surplus=False)) >= self.active_max
        one.update(up=True, latched=False, acked=False, raised=self.now)
        self.announce(key, "raised")
        if self.remind:
            one["remind"] = self.now + self.remind

    def close(self, key):
        one = self.alarms[key]
        was_surplus = one["surplus"]
        one.update(up=False, latched=False, surplus=False, remind=None)
        self.write(key, "cleared", "" if one["told"] else one["quiet"])
        if not one["shelf"]:
            del self.alarms[key]
        waiting = sorted((self.alarms[k]["raised"], k) for k in self.standing(surplus=True))
        if was_surplus or not waiting:
            return
        first = waiting[0][1]
        other = self.alarms[first]
        other["surplus"] = False
        if other["up"] and not other["acked"]:
            if not other["told"]:
                self.announce(first, "reminded")
        else:
            self.write(first, "reminded", other["quiet"])

    def ask(self, key, verb, span):
        one = self.alarms.get(key)
        is_standing = one is not None and (one["up"] or one["latched"])
        if verb == "ack" and is_standing and not one["acked"]:
            one.update(acked=True, remind=None)
            self.write(key, "acked")
            if one["latched"]:
                self.close(key)
        elif verb == "shelve":
            self.alarms.setdefault(key, self.blank())["shelf"] = self.now + span
            self.write(key, "shelved")
        elif verb == "unshelve" and one is not None and one["shelf"]:
            self.unshelve(key)
