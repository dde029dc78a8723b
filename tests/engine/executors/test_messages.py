"""Messages between processes."""

import random
import socket
import sys
import threading

import pytest

from prefect.engine.executors.messages import Message, Outbox, Receiver, Sender
from prefect.engine.interruption import is_sending

LARGE = 1 << 16


@pytest.fixture
def ends():
    """Two connected sockets."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def received(receiver, count):
    found = []
    while len(found) < count:
        found += receiver.messages()
    return found


def test_messages_arrive_whole_and_in_order(ends):
    """Whatever their lengths, and wherever the stream is cut."""
    dice = random.Random(13)
    sizes = [0, 1, 100, LARGE - 40, LARGE - 1, LARGE, LARGE + 1, 5 * LARGE]
    wanted = []
    for number in range(300):
        parts = [
            [dice.randbytes(dice.choice(sizes)) for _ in range(dice.randint(0, 3))]
            for _ in range(dice.randint(0, 3))
        ]
        wanted.append(Message(b"state", number, parts))
    sender = Sender(ends[0])

    def send():
        for kind, number, parts in wanted:
            sender.send(kind, number, *parts)

    thread = threading.Thread(target=send)
    thread.start()
    assert received(Receiver(ends[1]), len(wanted)) == wanted
    thread.join()


def test_many_small_ones_are_read_at_once(ends):
    """What is there already takes one look."""
    sender = Sender(ends[0])
    for number in range(100):
        sender.send(b"log", number, [b"line"])
    assert [each.number for each in Receiver(ends[1]).messages()] == list(range(100))


def test_threads_do_not_mix_theirs(ends):
    """Each message is whole, of however many threads."""
    sender = Sender(ends[0])
    texts = [bytes([number]) * 3 * LARGE for number in range(4)]
    threads = [threading.Thread(target=sender.send, args=(b"state", 1, [each])) for each in texts]
    for thread in threads:
        thread.start()
    found = received(Receiver(ends[1]), 4)
    assert sorted(bytes(each.parts[0][0]) for each in found) == texts


def test_buffers_can_be_written_to(ends):
    """An array that is made of one is as any other."""
    Sender(ends[0]).send(b"work", 1, [b"short", bytes(LARGE + 1)])
    (message,) = received(Receiver(ends[1]), 1)
    for data in message.parts[0]:
        data[0] = 7


def test_half_a_message_ends_the_connection(ends):
    """Nothing that comes after one could be read: both ends hear of that."""

    class Broken:
        def __init__(self, real):
            self.real = real

        def sendall(self, data):
            self.real.sendall(data[: len(data) // 2])
            raise KeyboardInterrupt

        def shutdown(self, how):
            self.real.shutdown(how)

    sender = Sender(Broken(ends[0]))
    with pytest.raises(KeyboardInterrupt):
        sender.send(b"state", 1, [b"value"])
    receiver = Receiver(ends[1])
    with pytest.raises(EOFError):
        received(receiver, 1)
    with pytest.raises(OSError, match=r".*"):
        Sender(ends[1]).send(b"work", 1, [b"more"])


def test_nobody_waits_for_who_does_not_receive(ends):
    """What the connection does not take is kept, and goes in order when it does."""
    outbox, receiver = Outbox(ends[0]), Receiver(ends[1])
    texts = [bytes([number]) * 5 * LARGE for number in range(4)]
    left = [outbox.send(b"work", number, [text]) for number, text in enumerate(texts)]
    assert left[-1]
    found = []
    while len(found) < len(texts):
        outbox.flush()
        found += receiver.messages()
    assert found == [Message(b"work", number, [[text]]) for number, text in enumerate(texts)]
    assert not outbox.flush()


@pytest.mark.parametrize("parts", [[[b"x" * 3 * LARGE]], [[b"x"] * LARGE], [[b"short"]]])
def test_nobody_waits_for_the_rest_of_a_message(parts, ends):
    """Who sends may be stopped in its midst: what is not there yet is taken later."""

    class Kept:
        def sendall(self, data):
            sent.extend(data)

    sent = bytearray()
    Sender(Kept()).send(b"state", 1, *parts)
    receiver = Receiver(ends[1])
    found = []
    for start in range(0, len(sent), 10_000):
        assert not found
        ends[0].sendall(sent[start : start + 10_000])
        found = receiver.messages()
    assert found == [Message(b"state", 1, parts)]


@pytest.mark.parametrize("size", [10, 3 * LARGE])
def test_the_end_in_the_midst_of_a_message_is_told_to_all_who_ask(size, ends):
    """Also to the second, who looks for what has come before."""
    Outbox(ends[0]).send(b"state", 1, [bytes(size)])
    sent = ends[1].recv(1 << 20)
    receiver = Receiver(ends[0])
    ends[1].sendall(sent[: len(sent) // 2])
    ends[1].close()
    for _ in range(2):
        with pytest.raises(EOFError):
            received(receiver, 1)


def test_after_an_interruption_in_the_midst_of_a_message_nothing_comes(ends):
    """As after its end, also for who looks once more, since nobody knows where the next one begins."""

    class Interrupted:
        def recv_into(self, place):
            count = ends[1].recv_into(place)
            places.append(count)
            if len(places) == 3:
                raise KeyboardInterrupt
            return count

    places = []
    outbox = Outbox(ends[0])
    outbox.send(b"state", 1, [bytes(100 * LARGE)])
    receiver = Receiver(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        while not receiver.messages():
            outbox.flush()
    for _ in range(2):
        with pytest.raises(EOFError):
            receiver.messages()


def test_what_is_logged_in_the_midst_of_a_message(ends):
    """A signal's handler or a destructor that logs while its thread sends: its line goes afterwards."""

    class Interrupted:
        def sendall(self, data):
            if not said:
                said.append(True)
                sender.send(b"log", 2, [b"of a handler"])
            ends[0].sendall(data)

    said = []
    sender = Sender(Interrupted())
    parts = [b"first", LARGE * 2 * b"x", b"last"]
    thread = threading.Thread(target=sender.send, args=(b"state", 1, parts), daemon=True)
    thread.start()
    wanted = [Message(b"state", 1, [parts]), Message(b"log", 2, [[b"of a handler"]])]
    ends[1].settimeout(60)
    assert received(Receiver(ends[1]), 2) == wanted
    thread.join()


def test_a_timeout_that_comes_while_a_message_goes(ends):
    """It is put off wherever it comes."""

    def look(frame, event, _):
        if event in {"call", "c_call"} and frame.f_code is not Sender.send.__code__:
            outer = frame.f_back
            while outer is not None and outer.f_code is not Sender.send.__code__:
                outer = outer.f_back
            if outer is not None and sender._is_sending:
                elsewhere.append(frame.f_code.co_qualname)
        elif event == "c_call":
            seen.append(is_sending(frame))

    elsewhere, seen = [], []
    sender = Sender(ends[0])
    sys.setprofile(look)
    try:
        sender.send(b"log", 1, [b"said"])
    finally:
        sys.setprofile(None)
    assert elsewhere == []
    assert seen
    assert all(seen)
