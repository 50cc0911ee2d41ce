"""The model bundle, one module a job: its schema, its inference.json, loading, making, checking.

Nothing is imported here: the transforms need the schema, and loading needs the transforms.
"""
