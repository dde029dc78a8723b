"""Distributions that are installed for a test, in a directory of their own."""

from pathlib import Path


def install(site: Path, name: str, version: str, *needs: str) -> None:
    """Lay out what installing a wheel of one module leaves, in a directory named site-packages."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(f"version = {version!r}\n")
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    lines += [f"Requires-Dist: {need}\n" for need in needs]
    (info / "METADATA").write_text("".join(lines) + "\nRequires-Dist: not-of-the-header\n")
    (info / "RECORD").write_text(f"{name}.py,,\n")
