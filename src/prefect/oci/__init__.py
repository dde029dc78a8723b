"""Container images and where they are kept. Nothing here knows what a flow is.

Build passes here on its way to a registry, a file or a container engine; info to look into an image;
run to start one. References, platforms, digests and image manifests are values; layers, registries,
archives, container engines and the cache have a folder each.
"""
