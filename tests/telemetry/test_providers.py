"""`prefect.telemetry.providers`: where telemetry goes, and what becomes of a run when that is not there."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from telemetry_flow import FLOW


def test_what_is_not_there_is_said(tmp_path):
    """Without the package, and for an exporter that nobody has, with what to install."""
    (tmp_path / "flow_file.py").write_text(FLOW)
    program = (
        "import sys; sys.modules['opentelemetry'] = MISSING;"
        "from flow_file import flow; flow.run(telemetry=True)"
    )
    for missing, variables in (("None", {}), ("", {"OTEL_TRACES_EXPORTER": "zipkin_of_old"})):
        text = program.replace("sys.modules['opentelemetry'] = MISSING;", "") if not missing else (
            program.replace("MISSING", missing)
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, env=os.environ | variables,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert "TelemetryError" in done.stderr
        assert "pip install opentelemetry-sdk" in done.stderr


def test_what_its_variables_say_is_refused_before_the_run(tmp_path):
    """What OpenTelemetry does not take of them is an error of ours, with its reason."""
    (tmp_path / "flow_file.py").write_text(FLOW)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "run", "flow_file.py", "--otel"], cwd=tmp_path,
        env=os.environ | {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert "(OTEL_...) say: ValueError: max_queue_size must be" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_provider_that_fails_costs_no_run(tmp_path):
    """What the run came to is there, and that something may be lacking is said."""
    (tmp_path / "program.py").write_text(
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from prefect import Flow, Parameter\n"
        "class Failing(TracerProvider):\n"
        "    def force_flush(self, timeout=0):\n"
        "        raise Exception('no way out')\n"
        "trace.set_tracer_provider(Failing())\n"
        "print(Flow('f', tasks=[Parameter('p', 1)]).run(telemetry=True).is_successful())\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"OTEL_METRICS_EXPORTER": "none"}, timeout=120,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr
    assert "may not have been told all of the run: Exception: no way out" in done.stderr


class Collector(BaseHTTPRequestHandler):
    """Takes what is sent over OTLP."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.server.taken.append((self.path, body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    """A collector of traces and metrics on this machine, which keeps what it takes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.taken = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sent(collector):
    """Return the names of the spans and of the metrics that were sent, and the services that they are of."""
    spans, metrics, services = [], set(), set()
    for path, body in collector.taken:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                services |= {a.value.string_value for a in resource.resource.attributes
                             if a.key == "service.name"}  # fmt: skip
                spans += [span for scope in resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                metrics |= {m.name for scope in resource.scope_metrics for m in scope.metrics}
    return spans, metrics, services


def prefect_run(tmp_path, collector, *arguments, **variables):
    """Run the command with --otel, as a user whose collector that is."""
    (tmp_path / "flow_file.py").write_text(FLOW)
    port = collector.server_address[1]
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-m", "prefect", "run", *arguments, "--otel"],
        cwd=tmp_path, env={**os.environ, **endpoint, **variables},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


def test_the_command_sends_over_otlp(tmp_path, collector):
    """To where the variables say, before it ends; secrets are masked, and a service that nobody named is prefect."""
    done = prefect_run(
        tmp_path, collector, "flow_file.py", "--secret", "TOKEN", TOKEN="s3cret-value"
    )
    assert done.returncode == 1, done.stderr
    spans, metrics, services = sent(collector)
    assert {span.name for span in spans} == {"tell <me>", "numbers", "flaky", "fails", "after"}
    # Not again when the process ends, which would be waited for once more if nobody answered.
    assert [path for path, _ in collector.taken].count("/v1/metrics") == 1
    assert "no answer for ***" in str(spans)
    assert b"s3cret-value" not in b"".join(body for _, body in collector.taken)
    assert metrics == {
        "prefect.flow.run.duration",
        "prefect.task.run.duration",
        "prefect.task.runs",
    }
    assert services == {"prefect"}


def test_an_exception_of_any_text_is_sent(tmp_path, collector):
    """With half a character of a file's name, which UTF-8 does not have, and with no text at all."""
    (tmp_path / "texts.py").write_text(
        "from prefect import Flow, task\n"
        "class Mute(Exception):\n"
        "    def __str__(self):\n"
        "        raise RuntimeError('nothing to say')\n"
        "@task\n"
        "def latin():\n    raise FileNotFoundError('caf\\udce9')\n"
        "@task\n"
        "def mute():\n    raise Mute\n"
        "with Flow('texts') as flow:\n    latin(); mute()\n"
    )
    done = prefect_run(tmp_path, collector, "texts.py", OTEL_METRICS_EXPORTER="none")
    assert done.returncode == 1, done.stderr
    assert "nothing to say" not in done.stderr
    spans, _, _ = sent(collector)
    assert {span.name for span in spans} == {"texts", "latin", "mute"}
    assert r"caf\\udce9" in str(spans)


def test_a_run_in_another_place_is_told_from_its_events(tmp_path, collector):
    """What runs there needs nothing of OpenTelemetry; lines for people have no events, which is said before."""
    done = prefect_run(
        tmp_path, collector, "flow_file.py", "--in", "venv", "--json", OTEL_SERVICE_NAME="mine",
        OTEL_METRICS_EXPORTER="none",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    spans, metrics, services = sent(collector)
    assert {span.name for span in spans} == {"tell <me>", "numbers", "flaky", "fails", "after"}
    assert len({span.trace_id for span in spans}) == 1
    assert (metrics, services) == (set(), {"mine"})
    done = prefect_run(tmp_path, collector, "flow_file.py", "--in", "venv")
    assert done.returncode == 2
    assert "add --json" in done.stderr


def test_a_collector_that_is_not_there_fails_no_run(tmp_path, collector):
    """The run comes to what it comes to, and says that nothing could be sent."""
    (tmp_path / "hello.py").write_text(
        "from prefect import Flow, Parameter\nflow = Flow('hello', tasks=[Parameter('p', 1)])\n"
    )
    done = prefect_run(
        tmp_path, collector, "hello.py", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
