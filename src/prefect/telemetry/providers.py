"""Where telemetry goes: OpenTelemetry's providers, a program's own, or made as the variables (OTEL_...) say."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from prefect.core.tracebacks import describe
from prefect.errors import TelemetryError

_FLUSH_SECONDS = 10
# Not as an extra of this package, whose name is another product's where packages are public.
_INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


def provide() -> None:
    """Have providers that send as the variables say, unless the program has set its own.

    Raises:
        TelemetryError: OpenTelemetry is not installed, or its variables name what is not there.
    """
    try:
        from opentelemetry import metrics, trace  # noqa: PLC0415 - where it is asked for
    except ImportError as error:
        raise TelemetryError(
            f"Telemetry needs OpenTelemetry, which is not installed here: {_INSTALL}"
        ) from error
    try:
        if type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider":
            _provide_traces()
        if type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider":
            _provide_metrics()
    except (ValueError, TypeError) as error:
        raise TelemetryError(
            f"OpenTelemetry does not take what its variables (OTEL_...) say: {describe(error)}"
        ) from error


def flush() -> None:
    """Have the providers send what they have, and wait for that, but not long."""
    from opentelemetry import metrics, trace  # noqa: PLC0415 - it is there

    # At the same time, and for no longer: those of a collector that does not answer try again and again.
    until = time.monotonic() + _FLUSH_SECONDS
    sending = [
        threading.Thread(target=_flush, args=(provider,), name="prefect-telemetry", daemon=True)
        for provider in (trace.get_tracer_provider(), metrics.get_meter_provider())
        if hasattr(provider, "force_flush")
    ]
    for thread in sending:
        thread.start()
    for thread in sending:
        thread.join(max(until - time.monotonic(), 0))


def _flush(provider: Any) -> None:
    """Have a provider send what it has, also of a run that has ended otherwise than it was to."""
    try:
        provider.force_flush(_FLUSH_SECONDS * 1000)
    except Exception as failure:  # noqa: BLE001 - of anybody's provider; the run has ended
        logging.getLogger("prefect").warning(
            "OpenTelemetry may not have been told all of the run: %s", describe(failure)
        )


def _provide_traces() -> None:
    from opentelemetry import trace  # noqa: PLC0415 - it is there

    if (made := _exporter("traces")) is None:
        return
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the extra has it
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - likewise

    provider = TracerProvider(resource=_resource())
    provider.add_span_processor(BatchSpanProcessor(made))
    trace.set_tracer_provider(provider)


def _provide_metrics() -> None:
    from opentelemetry import metrics  # noqa: PLC0415 - it is there

    if (made := _exporter("metrics")) is None:
        return
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the extra has it
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - likewise
        PeriodicExportingMetricReader,
    )

    readers = [PeriodicExportingMetricReader(made)]
    # Each run sends all at its end: once more at the process's end takes as long again if nobody answers.
    metrics.set_meter_provider(MeterProvider(readers, resource=_resource(), shutdown_on_exit=False))


def _resource() -> Any:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the extra has it

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {"service.name": "prefect"})


def _exporter(signal: str) -> Any:
    """Return what sends, as the variables name it; None where nothing is to be sent.

    Args:
        signal: "traces" or "metrics".
    """
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    name = os.environ.get(variable) or "otlp"
    if name == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if name == "otlp":
        for each in (
            f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ):
            if os.environ.get(each, "").startswith("grpc"):
                name = "otlp_proto_grpc"
                break
        else:
            name = "otlp_proto_http"
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    found = [*entry_points(group=f"opentelemetry_{signal}_exporter", name=name)]
    try:
        if found:
            return found[0].load()()
    except ImportError:
        pass
    raise TelemetryError(
        f"OpenTelemetry has no exporter {name!r} of {signal} here, which {variable} and OTEL_EXPORTER_OTLP_PROTOCOL "
        f"ask for: {_INSTALL} has otlp over HTTP, and opentelemetry-exporter-... others"
    )
