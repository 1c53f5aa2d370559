"""Learned dynamics: a network moves the bodies of a world under actions."""
