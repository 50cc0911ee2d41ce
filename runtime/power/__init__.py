"""Energy, one file a source. Joules always have a source class and a scope; where there is no source there are none."""
