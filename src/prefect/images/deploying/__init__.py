"""A flow image on a platform: what somebody applies there to run it, as text.

Info passes here, from the registry's image and its manifest to one module for each kind; nothing is
executed. May import what `images` may.
"""
