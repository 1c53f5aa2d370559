"""One file a suite: what the project claims, measured."""
