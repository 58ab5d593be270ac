"""`python -m gateway.cli`: the same as `penstock`, for who knows only an interpreter."""

from gateway.cli.main import main

main()
