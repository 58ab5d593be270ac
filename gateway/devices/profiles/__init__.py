"""Device profiles: what a kind of device sends, where, and what becomes of what is wrong."""
