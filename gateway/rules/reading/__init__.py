"""The sections of a rule file, read into `gateway.rules.spec`.

Every error is noted with its place.
"""
