"""A device for Penstock in MicroPython (ESP32, RP2040, unix port).

It publishes a reading every interval at QoS 1, keeps readings in flash while there is no
connection, takes its interval from the twin, answers commands, and backs off when it can't connect.
Copy this file and mqtt_link.py to the board, beside a main.py such as the one in README.md.
"""

import json
import os
import time

from mqtt_link import Link, Stopwatch

BACK_OFF_MS = (1_000, 60_000)
SEQ_BLOCK = 100
FLASH_BYTES_MAX = 65_536
INTERVAL_S_MAX = 86_400


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write_file(path, content):
    # A loss of power leaves the old file or the new one, never half of each.
    with open(path + ".new", "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


class Device:
    """One device; `sensors` returns the fields of a reading, `commands` maps names to functions."""

    def __init__(self, server, name, topic, sensors, commands=None, key=None, folder="."):
        self.server, self.name, self.topic, self.key = server, name, topic, key
        self.sensors, self.commands = sensors, commands or {}
        self.outbox_path, self.seq_path = folder + "/outbox.jsonl", folder + "/seq"
        self.waiting = [line for line in read_file(self.outbox_path).split(b"\n") if line]
        self.seq = self.seq_limit = int(read_file(self.seq_path) or b"0")
        self.clock, self.interval_ms = Stopwatch(), 10_000
        self.link, self.due_ms, self.dial_ms = None, 0, 0
        self.back_off_ms = BACK_OFF_MS[0]

    def run(self):
        while True:
            self.step()

    def step(self):
        """Do what is due, for a second at most."""
        if self.clock.now() >= self.due_ms:
            self.due_ms = self.clock.now() + self.interval_ms
            self.take_reading()
        next_ms = self.due_ms if self.link else min(self.due_ms, self.dial_ms)
        pause_ms = max(0, min(next_ms - self.clock.now(), 1_000))
        if self.link is None and self.clock.now() < self.dial_ms:
            time.sleep(pause_ms / 1_000)
            return
        try:
            if self.link is None:
                self.connect()
            self.deliver()
            self.link.listen(pause_ms)
        except OSError:
            self.hang_up()

    def take_reading(self):
        if self.seq >= self.seq_limit:
            # Reserved by the hundred: few writes to flash, and no number is used twice.
            self.seq_limit = self.seq + SEQ_BLOCK
            write_file(self.seq_path, str(self.seq_limit).encode())
        reading = dict(self.sensors(), seq=self.seq)
        self.seq += 1
        self.waiting.append(json.dumps(reading).encode())
        if self.link is None:
            self.save()

    def save(self):
        """Put what waits into flash; when it is full the oldest readings make room."""
        while sum(len(line) + 1 for line in self.waiting) > FLASH_BYTES_MAX:
            self.waiting.pop(0)
        write_file(self.outbox_path, b"".join(line + b"\n" for line in self.waiting))

    def connect(self):
        topics = ("twin/%s/desired" % self.name, "command/%s/request/+" % self.name)
        self.link = Link(self.server, self.hear, self.clock)
        self.link.greet(self.name, self.key, topics)
        self.back_off_ms = BACK_OFF_MS[0]

    def deliver(self):
        """Publish everything that waits, oldest first."""
        had = len(self.waiting)
        while self.waiting:
            self.link.publish(self.topic, self.waiting[0])
            self.waiting.pop(0)
        if had > 1:
            self.save()

    def hang_up(self):
        if self.link is not None:
            self.link.close()
            self.link = None
        self.save()
        self.dial_ms = self.clock.now() + self.back_off_ms
        self.back_off_ms = min(2 * self.back_off_ms, BACK_OFF_MS[1])

    def hear(self, topic, payload):
        try:
            message = json.loads(payload)
            if topic.startswith("twin/"):
                self.desire(message["desired"])
            else:
                self.obey(topic.split("/")[-1], message)
        except (ValueError, TypeError, KeyError):
            pass  # what a device doesn't understand must not stop it

    def desire(self, desired):
        """Take the interval that is wanted, and report the one that is used."""
        interval_s = desired["interval_s"]
        if 0 < interval_s <= INTERVAL_S_MAX:
            self.interval_ms = int(interval_s * 1_000)
            self.due_ms = min(self.due_ms, self.clock.now() + self.interval_ms)
            patch = json.dumps({"interval_s": interval_s}).encode()
            self.link.tell("twin/%s/reported" % self.name, patch)

    def obey(self, request, message):
        answer = {"status": 404, "result": None}
        if message["name"] in self.commands:
            try:
                result = self.commands[message["name"]](message.get("payload"))
                answer = {"status": 200, "result": result}
            except Exception as error:  # the answer says what went wrong on the board
                answer = {"status": 500, "result": str(error)}
        topic = "command/%s/response/%s" % (self.name, request)
        self.link.tell(topic, json.dumps(answer).encode())
