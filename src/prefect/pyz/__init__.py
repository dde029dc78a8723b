"""The file that runs by itself: a sealed flow, and beside it in the clear what runs it, in one zip archive.

    #!/usr/bin/env python3          one line, before the archive
    __main__.py                     what Python starts
    runtime/prefect/...             of this package what runs inside a place
    wheels/*.whl                    what that needs: cryptography for some platforms, and pure Python
    index.json                      all of these by size and SHA-256
    sealed.flow                     the sealed flow, stored as it is, so that it is read in place

Build, sign and rewrap pass here to write one; whatever opens sealed flows, to find the one in it. Nothing
is executed here. It may import errors and the standard library.
"""
