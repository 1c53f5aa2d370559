"""What to do so that the predicted future becomes the wanted one; dynamics is taken as a callable."""
