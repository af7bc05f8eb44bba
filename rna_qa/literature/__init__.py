"""RNA-QA from RNAcentral's literature: papers, topics, claims with their evidence, questions."""
