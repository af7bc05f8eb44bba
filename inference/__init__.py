"""Answers: loading, generation, conversations, batches, embeddings, attribution, CPU decoding."""
