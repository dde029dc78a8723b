"""Count words of several texts, each by a task of its own: python examples/classic/mapping.py.

This file runs unchanged under classic Prefect (1.4) and under this package, as all in this directory do.
"""

from collections import Counter

from prefect import Flow, Parameter, flatten, task, unmapped

TEXTS = ["The cat sat", "the dog sat on the mat", "a cat"]


@task
def split(text):
    return text.lower().split()


@task
def is_wanted(word, unwanted):
    return word not in unwanted


@task
def keep(word, wanted):
    return word if wanted else None


@task
def count(words):
    return Counter(word for word in words if word)


with Flow("count words") as flow:
    unwanted = Parameter("unwanted", default=["the", "a", "on"])
    words = split.map(Parameter("texts", default=TEXTS))
    wanted = is_wanted.map(flatten(words), unmapped(unwanted))
    counted = count(keep.map(flatten(words), wanted))

if __name__ == "__main__":
    state = flow.run()
    print(sorted(state.result[counted].result.items()))
    print([len(each) for each in state.result[words].result])
    print(flow.run(texts=["one two two"]).result[counted].result["two"])
