"""Pre-training of the RNA encoder."""
