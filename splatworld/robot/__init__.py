"""Robots and tools as bodies of a world: read from URDF and MJCF, posed by their joints, moved by actions."""
