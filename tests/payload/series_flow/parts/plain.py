def one():
    return 1


def annotated(a: int, b: "str", *, c: "list[int]" = (1,)) -> dict[str, int]:
    x: int = a
    return x, b, c, sorted(annotated.__annotations__)


class Annotated:
    first: int
    second: "str" = "s"

    def both(self, x: int) -> "Annotated":
        return self.second, x
