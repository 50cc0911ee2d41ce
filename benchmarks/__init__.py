"""Scenarios, comparisons with peers, the demonstration and its page; run from the repository root."""
