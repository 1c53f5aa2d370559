"""A video, an image folder or a foreign data set to frames with known cameras."""
