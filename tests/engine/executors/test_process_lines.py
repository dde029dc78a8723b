"""What processes log that tasks have forked, on its way."""

import os
import random
import signal
import threading

import pytest

from prefect.engine.executors.messages import Message
from prefect.engine.executors.process_lines import LineReceiver, LineSender, log_here


@pytest.fixture
def receiver():
    """One whose pipe is closed in the end."""
    receiver = LineReceiver()
    yield receiver
    receiver.close()


def received(receiver, count):
    found = []
    while len(found) < count:
        found += receiver.lines()
    return found


def test_lines_arrive_whole(receiver):
    """Whatever their lengths, of however many threads and processes."""
    dice = random.Random(5)
    _, writer = receiver.ends()
    texts = [dice.randbytes(dice.choice([0, 1, 4072, 4073, 4074, 50_000])) for _ in range(40)]

    def send():
        sender = LineSender(writer)
        threads = [
            threading.Thread(target=sender.send, args=(number, text))
            for number, text in enumerate(texts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    children = []
    for _ in range(3):
        if not (child := os.fork()):
            send()
            os._exit(0)
        children.append(child)
    found = received(receiver, 3 * len(texts))
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    wanted = [(b"line", number, text) for number, text in enumerate(texts)] * 3
    assert sorted((kind, number, bytes(parts[0][0])) for kind, number, parts in found) == sorted(
        wanted
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_who_ends_in_the_midst_of_a_line_or_is_stopped(number, receiver):
    """Nobody waits for the rest of it, and it spoils no other line."""
    _, writer = receiver.ends()
    if not (child := os.fork()):
        LineSender(writer).send(1, bytes(10_000_000))
        os._exit(0)
    try:
        while not receiver._begun:
            assert receiver.lines() == []
        os.kill(child, number)
        os.waitpid(child, os.WUNTRACED)
        assert receiver.lines() == []
        LineSender(writer).send(2, b"whole")
        assert receiver.lines() == [Message(b"line", 2, [[b"whole"]])]
    finally:
        if number == signal.SIGSTOP:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_lines_go_before_what_was_told_after_them(receiver):
    """Those of a task's child, before what the task came to."""
    sender = LineSender(receiver.ends()[1])
    told = [Message(b"log", 1, []), Message(b"log", 4, []), Message(b"state", 0, [])]
    for moment in (2, 3, 5):
        sender.send(moment, b"")
    assert [each.number for each in receiver.among(told)] == [1, 2, 3, 4, 5, 0]
    sender.send(7, b"")
    assert [each.number for each in receiver.among([Message(b"log", 6, [])])] == [6, 7]


def test_what_a_daemon_has_opened_where_the_pipe_was(receiver, tmp_path):
    """Nothing is written to it: it has closed what it did not open."""
    _, writer = receiver.ends()
    mine = os.dup(writer)
    sender = LineSender(mine)
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    os.dup2(file, mine)
    os.close(file)
    sender.send(1, b"text")
    os.close(mine)
    assert (tmp_path / "file").read_bytes() == b""
    with pytest.raises(OSError, match="descriptor"):
        sender.send(1, b"text")


def test_without_a_process_there_is_no_pipe():
    """No descriptor is open before one is needed, and none in the end."""
    receiver = LineReceiver()
    assert receiver.lines() == []
    ends = receiver.ends()
    assert receiver.ends() == ends
    receiver.close()
    receiver.close()
    for each in ends:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(each)


@pytest.mark.parametrize(
    "junk", [b"x", b"\1" * 400, b"\0" * 40, b"\0log" * 7, random.Random(7).randbytes(5000)]
)
def test_what_others_write_into_the_pipe(receiver, junk):
    """It is left out, and lines before and after it arrive."""
    _, writer = receiver.ends()
    sender = LineSender(writer)
    sender.send(1, b"before")
    os.write(writer, junk)
    for number in range(2, 300):
        sender.send(number, b"after")
    os.write(writer, junk)
    found = [number for _, number, _ in receiver.lines() + receiver.lines()]
    assert found[0] == 1
    assert found[-1] == 299


def test_a_line_that_somebody_else_has_written(receiver, caplog):
    """What is no record is left out."""
    sender = LineSender(receiver.ends()[1])
    sender.send(1, b"no pickle")
    log_here(receiver.lines())
    assert caplog.records == []
