"""Data types, one file each; torch and numpy only."""
