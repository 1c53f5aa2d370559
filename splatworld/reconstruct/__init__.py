"""Frames with known cameras to splats."""
