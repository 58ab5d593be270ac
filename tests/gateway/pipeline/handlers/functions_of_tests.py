"""Functions that the handlers of the tests run, as a person might write them."""

SOURCE = """
import asyncio, os, time
from pathlib import Path
from gateway.functions import Event, Publish

def echo(event: Event):
    return Publish(f"echo/{event.device}", event.payload)

def note(event: Event):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(f"{event.device}:{event.offset}:{event.attempt}\\n")
    if event.payload == "bad":
        raise ValueError("bad payload")
    if event.payload == "flaky" and event.attempt == 1:
        raise ValueError("not yet")
    if event.payload == "loop":
        while True:
            pass
    if event.payload == "exit":
        os._exit(7)
    if event.payload == "hog":
        bytearray(4 << 30)
    return f"noted/{event.device}", event.payload

async def slow(event: Event):
    await asyncio.sleep(0.01)
    return f"echo/{event.device}", event.payload

def nowhere(event: Event):
    return "audit/x", 1
"""
