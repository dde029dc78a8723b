"""Whether a cached state is still good."""

import pendulum

from prefect.engine import cache_validators as validators
from prefect.engine.state import Cached


class Value:
    def __init__(self, value):
        self.value = value


def cached(days=1, **more):
    inputs = {"x": Value(1), "y": Value("a")}
    return Cached(
        cached_inputs=inputs,
        cached_parameters={"p": 1, "q": 2},
        cached_result_expiration=pendulum.now("utc").add(days=days),
        **more,
    )


SAME = {"x": 1, "y": "a"}
OTHER = {"x": 1, "y": "b"}
PARAMETERS = {"p": 1, "q": 2}
OTHERS = {"p": 1, "q": 3}


def probe_expiry():
    endless = Cached(cached_inputs={}, cached_parameters={})
    return [validators.duration_only(each, {}, {}) for each in (cached(), cached(-1), endless)]


def probe_never():
    return validators.never_use(cached(), SAME, PARAMETERS)


def probe_all():
    return [
        (validators.all_inputs(each, inputs, {}), validators.all_parameters(each, {}, parameters))
        for each in (cached(), cached(-1))
        for inputs, parameters in ((SAME, PARAMETERS), (OTHER, OTHERS), ({}, {}))
    ]


def probe_some():
    return [
        (
            validators.partial_inputs_only(names)(cached(days), OTHER, {}),
            validators.partial_parameters_only(parameters)(cached(days), {}, OTHERS),
        )
        for days in (1, -1)
        for names, parameters in (
            (["x"], ["p"]),
            (["y"], ["q"]),
            (["x", "y"], ["p", "q"]),
            (None, None),
        )
    ]
