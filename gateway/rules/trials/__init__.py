"""Trying rules out: test cases on a virtual clock, episodes compared, values explained."""
