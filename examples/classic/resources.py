"""Have something for as long as tasks need it, whatever becomes of them: python examples/classic/resources.py."""

from prefect import Flow, Parameter, resource_manager, task

EVENTS = []


class Connection:
    """Stands for what is expensive to have and has to be closed."""

    def __init__(self, name):
        self.name = name
        EVENTS.append(f"opened {name}")

    def ask(self, question):
        EVENTS.append(f"asked {question}")
        return 10 / question

    def close(self):
        EVENTS.append(f"closed {self.name}")


@resource_manager
class Connected:
    def __init__(self, name):
        self.name = name

    def setup(self):
        return Connection(self.name)

    def cleanup(self, connection):
        connection.close()


@task
def ask(connection, question):
    return connection.ask(question)


with Flow("resources") as flow:
    question = Parameter("question")
    with Connected("warehouse") as connection:
        answer = ask(connection, question)

if __name__ == "__main__":
    for asked in (5, 0):
        EVENTS.clear()
        state = flow.run(question=asked)
        print(state.is_successful(), type(state.result[answer]).__name__, EVENTS)
