"""The labels of a flow image's config: what is known of it without reading a layer."""

LABEL_FLOW = "prefect.flow"
LABEL_MANIFEST = "prefect.manifest"
LABEL_PYTHON = "prefect.python"
LABEL_SEALED = "prefect.sealed"
LABEL_VERSION = "prefect.version"
