"""Tell somebody what becomes of a flow, by state handlers: python examples/classic/notifications.py."""

from prefect import Flow, Parameter, Task, task
from prefect.engine.state import Failed, Retrying
from prefect.utilities.notifications import callback_factory

SENT = []


def send(obj, state):
    """Stand for a mail, or a message to a channel."""
    SENT.append(f"{obj.name}: {type(state).__name__}")


def tell_of_failures(obj, old_state, new_state):
    """Tell of failures, and of what is tried again."""
    if isinstance(new_state, (Failed, Retrying)):
        send(obj, new_state)
    return new_state


tell_of_the_end = callback_factory(send, check=lambda state: state.is_finished())


@task(state_handlers=[tell_of_failures])
def divide(x, y):
    return x / y


class Clean(Task):
    def run(self):
        return "clean"


def on_failure(obj, state):
    SENT.append(f"{obj.name} failed with {type(state.result).__name__}")


with Flow("notifies", state_handlers=[tell_of_the_end]) as flow:
    divided = divide.map([6, 4], [3, Parameter("by", default=2)])
    share = divide(1, Parameter("among"))
    Clean(name="cleaner", on_failure=on_failure)()

if __name__ == "__main__":
    for among in (4, 0):
        SENT.clear()
        state = flow.run(among=among)
        print(state.is_successful(), SENT)
