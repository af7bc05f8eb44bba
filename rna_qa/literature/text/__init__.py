"""Sentences, topics, and names of RNAs in texts."""
