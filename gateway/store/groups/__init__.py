"""Consumer groups over any engine of the log: members, leases, dead letters, lag."""
