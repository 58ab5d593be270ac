"""The expression language: a subset of CEL, compiled to CPython code over three truth values."""
