"""Every figure that the documents claim, measured by one command: `./run bench`."""
