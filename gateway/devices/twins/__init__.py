"""What is wanted of a device and what it says of itself: documents with versions."""
