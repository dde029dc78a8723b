"""Kinds of states, what they answer, and the signals that end in them."""

import pickle

from prefect import Flow, task
from prefect.engine import signals
from prefect.engine import state as states
from prefect.engine.state import Failed, Mapped, Retrying, Running, Scheduled, State, Success

KINDS = (
    "State",
    "Pending",
    "Scheduled",
    "Paused",
    "Resume",
    "Retrying",
    "Submitted",
    "Queued",
    "ClientFailed",
    "Running",
    "Cancelling",
    "Finished",
    "Looped",
    "Cancelled",
    "Success",
    "Cached",
    "Mapped",
    "Skipped",
    "Failed",
    "TimedOut",
    "TriggerFailed",
    "ValidationFailed",
)
QUESTIONS = (
    "is_cached",
    "is_failed",
    "is_finished",
    "is_looped",
    "is_mapped",
    "is_meta_state",
    "is_pending",
    "is_queued",
    "is_retrying",
    "is_running",
    "is_scheduled",
    "is_skipped",
    "is_submitted",
    "is_successful",
)


def probe_questions():
    return {
        kind: [name for name in QUESTIONS if getattr(getattr(states, kind)(), name)()]
        for kind in KINDS
    }


def probe_colors():
    return {kind: getattr(states, kind).color for kind in KINDS}


def probe_families():
    return {
        kind: [
            other
            for other in KINDS
            if other != kind and issubclass(getattr(states, kind), getattr(states, other))
        ]
        for kind in KINDS
    }


def probe_parents():
    return [Retrying.parents(names_only=True), Retrying.parents(include_self=True, names_only=True)]


def probe_children():
    return sorted(Scheduled.children(names_only=True))


def probe_equality():
    return [
        Success("a", result=1) == Success("b", result=1),
        Success() == Failed(),
        Success(result=1) == Success(result=2),
        Scheduled() == Scheduled(),
        Success() == 1,
    ]


def probe_hashes():
    a, b = Success(result=[1]), Success(result=[1])
    return [len({a, b, a}), hash(a) == hash(a)]


def probe_context():
    state = Failed("no", context={"tags": ["a"]}, cached_inputs={"x": 1})
    again = pickle.loads(pickle.dumps(state))
    return [
        state.context,
        state.cached_inputs,
        again.context,
        Success().context,
        Success().cached_inputs,
    ]


def probe_attributes():
    return [
        Retrying(run_count=3).run_count,
        Mapped().map_states,
        states.Looped(loop_count=4).loop_count,
        states.Submitted(state=Running()).state,
        states.Cached(cached_parameters={"x": 1}).cached_parameters,
        states.Queued().start_time is not None,
        Scheduled().start_time is not None,
        str(Success("fine")).startswith("<Success"),
        Success("fine").message,
    ]


def probe_serialized():
    told = Retrying("again", run_count=2).serialize()
    return [
        told["type"],
        told["message"],
        told["run_count"],
        sorted(set(told) & {"type", "message", "context"}),
    ]


SIGNALS = ("FAIL", "LOOP", "PAUSE", "RETRY", "SKIP", "SUCCESS", "TRIGGERFAIL", "VALIDATIONFAIL")


def probe_states_of_signals():
    return {name: type(getattr(signals, name)("m").state).__name__ for name in SIGNALS}


def probe_results_of_signals():
    return {name: getattr(signals, name)("m", result=3).state for name in SIGNALS}


def probe_results_of_signals_by_default():
    return {name: getattr(signals, name)("m").state.result for name in SIGNALS}


def probe_signals_are_no_errors():
    return [issubclass(getattr(signals, name), Exception) for name in SIGNALS]


def probe_a_signal_is_not_caught_by_a_task_that_catches_errors():
    @task
    def careful():
        try:
            raise signals.SKIP("nothing to do")
        except Exception:
            return "caught"

    with Flow("f") as flow:
        r = careful()
    return type(flow.run().result[r]).__name__


def probe_signal_from_state():
    return {
        kind: signals.signal_from_state(getattr(states, kind)("m")).__name__
        for kind in (
            "Failed",
            "Looped",
            "Paused",
            "Retrying",
            "Skipped",
            "Success",
            "TriggerFailed",
            "ValidationFailed",
        )
    }


def probe_endrun():
    @task
    def ending():
        raise signals.ENDRUN(state=Failed("over", result=3))

    with Flow("f") as flow:
        r = ending()
    return flow.run().result[r]


def probe_validation_fails():
    @task
    def checking():
        raise signals.VALIDATIONFAIL("odd", result=3)

    with Flow("f") as flow:
        r = checking()
    return flow.run().result[r]


def probe_base_of_signals():
    return all(issubclass(getattr(signals, name), signals.PrefectStateSignal) for name in SIGNALS)


def terminal(make):
    from prefect.engine.state import Failed, Success

    seen = []

    def handler(flow, state, states):
        seen.append(
            [flow.name, type(state).__name__, sorted(type(each).__name__ for each in states)]
        )
        return make(state, Failed, Success)

    with Flow("f", terminal_state_handler=handler) as flow:
        task(lambda: 1, name="a")()
        task(lambda: 1 / 0, name="b")()
    state = flow.run()
    return type(state).__name__, state.message, seen


def probe_terminal_state_handler_that_replaces():
    return terminal(lambda state, failed, success: success("fine by me", state.result))


def probe_terminal_state_handler_that_looks():
    return terminal(lambda state, failed, success: None)[0::2]


def probe_callback_factory():
    from prefect.utilities.notifications import callback_factory

    told = []
    tell = callback_factory(
        lambda obj, state: told.append(obj.name), lambda state: state.is_failed()
    )
    with Flow("f", state_handlers=[tell]) as flow:
        task(lambda: 1, name="a", state_handlers=[tell])()
        task(lambda: 1 / 0, name="b", state_handlers=[tell])()
    flow.run()
    return told


def probe_retry_delays():
    import datetime

    from prefect.utilities.datetimes import retry_delay

    delay = retry_delay(
        datetime.timedelta(seconds=10),
        exponential_backoff=True,
        max_delay=datetime.timedelta(seconds=35),
    )
    return [delay(number).total_seconds() for number in range(1, 6)] + [
        retry_delay(minutes=1)(4).total_seconds()
    ]


def _round(state):
    again = State.deserialize(state.serialize())
    return [type(again).__name__, again.message, again.context, again == state]


def probe_deserialized():
    return {
        kind: _round(getattr(states, kind)("m", context={"tags": ["a"]}))
        for kind in KINDS
        if kind != "State"
    }


def probe_deserialized_data():
    import datetime

    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)
    retrying = State.deserialize(Retrying(start_time=moment, run_count=3).serialize())
    looped = State.deserialize(states.Looped(loop_count=4).serialize())
    cached = State.deserialize(
        states.Cached(
            cached_parameters={"x": 1}, cached_result_expiration=moment, hashed_inputs={"x": "a"}
        ).serialize()
    )
    queued = State.deserialize(states.Queued(state=Retrying("q", run_count=2)).serialize())
    return [
        retrying.start_time == moment,
        retrying.run_count,
        looped.loop_count,
        cached.cached_parameters,
        cached.cached_result_expiration == moment,
        cached.hashed_inputs,
        type(queued.state).__name__,
        queued.state.run_count,
        queued.state.message,
    ]


def probe_deserialized_results():
    return [
        State.deserialize(Success(result=1).serialize()).result,
        State.deserialize(Failed(result=ValueError("no")).serialize()).result,
        len(
            State.deserialize(Mapped(map_states=[Success("a"), Failed("b")]).serialize()).map_states
        ),
    ]


def probe_deserialized_by_a_kind():
    return [
        type(Success.deserialize(Failed("no").serialize())).__name__,
        type(State.deserialize({"type": "Success", "message": "by hand"})).__name__,
    ]


def probe_deserialized_of_an_unknown_kind():
    try:
        return State.deserialize({"type": "Nothing"})
    except Exception:
        return "refused"


def probe_serialized_is_json():
    import json

    told = json.loads(json.dumps(Scheduled("m", context={"a": [1]}).serialize()))
    return [type(State.deserialize(told)).__name__, State.deserialize(told).context]
