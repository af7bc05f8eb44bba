"""RNA-QA from Rfam's curated text."""
