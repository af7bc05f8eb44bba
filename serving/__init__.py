"""An OpenAI-compatible server for questions about RNAs."""
