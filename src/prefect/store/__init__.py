"""Results that last: values by key, in a directory or wherever fsspec reaches.

A run passes here for each task whose result is kept or looked up (`prefect.keeping` decides which); runs'
records lie beside the results. Knows no flow, and imports nothing of this package but files, errors and
the forms of values.
"""
