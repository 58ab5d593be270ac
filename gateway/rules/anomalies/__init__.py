"""Values that behave unlike their own history, each key judged by itself."""
