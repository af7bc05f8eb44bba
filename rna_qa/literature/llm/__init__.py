"""Requests to language models: cache, budget, batches, estimates."""
