"""Worlds and rollouts in the browser."""

from splatworld.viewer.server import Viewer, serve

__all__ = ["Viewer", "serve"]
