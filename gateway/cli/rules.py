"""`penstock rules`: check, list and describe rule files, and run them over the log."""

from __future__ import annotations

import typer

app = typer.Typer(help="Check, list and replay rules.", no_args_is_help=True)
