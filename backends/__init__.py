"""Inference backends: one module a device family, found by the part of the device string before the colon."""
