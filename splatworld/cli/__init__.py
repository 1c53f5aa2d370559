"""One verb a stage: parses, calls, prints; no logic."""
