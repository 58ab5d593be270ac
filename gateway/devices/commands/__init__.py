"""What devices are told to do: requests with an outcome, each obeyed once."""
