"""What builds keep on disk: layers, blobs and small facts, bounded, safe with many builders.

Builds of images pass here.
"""
