"""Splats to a world of bodies: where it stands, what belongs together, what each thing is."""
