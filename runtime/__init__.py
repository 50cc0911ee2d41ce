"""The way of a study, one module a step: study -> geometry -> transforms -> inference -> findings -> report."""
