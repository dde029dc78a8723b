"""Images in files: OCI layouts, OCI archives and docker-archives.

Build passes here to export and to load, info to look. `archive` is the door.
"""
