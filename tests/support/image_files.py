"""The files of an image on disk."""

import io
import tarfile
from pathlib import Path

from prefect.oci.archives import archive as archives

SITE = "opt/prefect/lib/python3.11/site-packages"


def files_of(path: Path) -> dict[str, bytes]:
    """Return the files of an image by path."""
    found = {}
    for layer in archives.read(path).layers:
        with layer.blob.open() as blob, tarfile.open(fileobj=io.BytesIO(blob.read())) as tar:
            found |= {
                one.name: tar.extractfile(one).read() for one in tar.getmembers() if one.isfile()
            }
    return found
