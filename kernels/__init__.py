"""C++ pre- and post-processing kernels; they know numpy arrays and nothing else of bedside."""
