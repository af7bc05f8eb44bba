"""RNA-QA: questions and answers about real RNAs, built from public records."""
