"""Comparisons with peers, the demonstration and its page; the code behind ``bedside bench``."""
