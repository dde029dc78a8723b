"""A project of one's own: a module, and a file that it reads."""

from importlib.resources import files


def greeting(language):
    """Return how one greets in a language, such as "fr"."""
    lines = (files(__name__) / "greetings.txt").read_text().splitlines()
    return dict(line.split("=") for line in lines)[language]
