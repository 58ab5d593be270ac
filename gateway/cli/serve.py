"""`penstock serve`: run the gateway until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from dataclasses import replace
from pathlib import Path

import typer

from gateway.app import build_gateway
from gateway.cli.log_lines import start_log
from gateway.cli.main import fail
from gateway.config import UNREACHABLE, GatewayConfig, is_loopback, load_config
from gateway.errors import DocumentInvalid, PenstockError

DEFAULT_CONFIG = Path("config/gateway.yaml")

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def serve(
    config: Path | None = typer.Option(
        None, help="Configuration file [default: config/gateway.yaml, if there is one]."
    ),
    data: Path | None = typer.Option(None, help="Data directory; made when it is not there."),
    host: str | None = typer.Option(None, help="Address to listen on."),
    port: int | None = typer.Option(None, min=0, max=0xFFFF, help="Port; 0 takes a free one."),
    rules: Path | None = typer.Option(None, help="Rule file, or a folder of them."),
) -> None:
    """Run the gateway. SIGTERM or Ctrl-C stops it cleanly; SIGHUP reads rules, TLS files anew."""
    try:
        settings = load_config(config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None))
    except DocumentInvalid as error:
        fail(str(error), 2)
    settings = _override(settings, data, rules)
    settings = _listen(settings, host, port)
    start_log(settings.log_level)
    gateway = build_gateway(settings)
    stop = asyncio.Event()

    def ready(_: list[tuple[str, int]]) -> None:
        # What was built to last needs no looking at by the garbage collector again.
        gc.collect()
        gc.freeze()
        for listener in gateway.listeners:
            print(f"penstock: listening on {listener}")
        print(f"penstock: data in {settings.data_dir.resolve()}", flush=True)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, gateway.reload)
        await gateway.run(ready, stop)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The loop to run on: uvloop where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.Loop
    return None


def _override(settings: GatewayConfig, data: Path | None, rules: Path | None) -> GatewayConfig:
    if rules is not None and not rules.exists():
        raise PenstockError(f"no rules at {rules}; --rules takes a file or a folder")
    return replace(
        settings,
        data_dir=data or settings.data_dir,
        rules_path=rules or settings.rules_path,
    )


def _listen(settings: GatewayConfig, host: str | None, port: int | None) -> GatewayConfig:
    """Listen at one address alone, in the way of the first listener."""
    if host is None and port is None:
        return settings
    first = settings.server.listeners[0]
    listener = replace(first, host=host or first.host, port=first.port if port is None else port)
    is_asked = listener.asks_who or settings.server.access.are_required
    if not is_loopback(listener.host) and not is_asked:
        raise PenstockError(f"'{listener.host}' is not a loopback address; {UNREACHABLE}")
    return replace(settings, server=replace(settings.server, listeners=(listener,)))
