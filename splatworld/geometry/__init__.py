"""Surfaces, distances and contacts, read off splats, meshes or nodes."""
