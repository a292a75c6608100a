"""The steps of `assay.compare`: what was given, as numbers, measured, and what must be said of it."""
