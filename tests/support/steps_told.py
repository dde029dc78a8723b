"""What watches the steps of a build in a test."""

from prefect.steps import Step


class Told:
    """Keeps each step that has begun, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.ended: list[Step] = []

    def begin(self, one: Step) -> None:
        """Take a step that begins."""
        self.steps.append(one)

    def end(self, one: Step) -> None:
        """Take a step that has ended."""
        self.ended.append(one)

    def of(self, text: str) -> list[Step]:
        """Return the steps whose text begins so, all of which have ended."""
        found = [one for one in self.steps if one.text.startswith(text)]
        assert all(one in self.ended for one in found)
        return found
