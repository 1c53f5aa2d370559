"""MuJoCo as the oracle: scenes and episodes with exact truth."""
