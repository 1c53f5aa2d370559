"""Posed splats to pictures: the float64 oracle, the native kernels and one front door."""
