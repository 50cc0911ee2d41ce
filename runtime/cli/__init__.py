"""The command line: a thin face over the Python API. Exit codes 3 to 8 are those of :mod:`bedside.runtime.errors`."""

from . import run, host, study, bundle, prove, measure, quantize, bench  # noqa: I001 - each adds its commands, in this order
from .program import app, main

__all__ = ["app", "bench", "bundle", "host", "main", "measure", "prove", "quantize", "run", "study"]
