"""The parts of `assay.score`: which image belongs to which target, and how far is it from it?"""
