"""Trying a failed flow again, where the platform cannot tell failures apart: a shell's loop."""

from prefect.running.stopping import FLOW_FAILED

RETRY_SECONDS = 10
RETRYING = (
    'while :; do status=0; "$@" || status=$?; '
    f'if [ "$status" -ne {FLOW_FAILED} ] || [ "$retries" -eq 0 ]; then exit "$status"; fi; '
    f'retries=$((retries - 1)); sleep "${{RETRY_SECONDS:-{RETRY_SECONDS}}}"; done'
)
"""For `sh -c`: runs its arguments, `$retries` times more while they fail as a flow does."""
