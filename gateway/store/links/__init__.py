"""The log in worker processes: they read it themselves, and hand what they write to the writer."""
