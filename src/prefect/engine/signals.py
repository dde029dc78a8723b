"""Public name of `prefect.core.signals`."""

from prefect.core.signals import FAIL, RETRY, SKIP, SUCCESS, TRIGGERFAIL, Signal

__all__ = ["FAIL", "RETRY", "SKIP", "SUCCESS", "TRIGGERFAIL", "Signal"]
