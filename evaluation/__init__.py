"""How good RNA-GPT's answers are, and why one should believe them."""
