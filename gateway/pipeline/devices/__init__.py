"""What the gateway does for devices, as consumers of the log: twins, commands, jobs, updates."""
