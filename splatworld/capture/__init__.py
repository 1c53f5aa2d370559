"""From a video, image folder or posed capture to a `PosedClip`: frames whose cameras are known."""
