"""The model bundles that ship with bedside, one folder each."""
