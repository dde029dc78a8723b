"""Every exception of this package.

    PrefectError
    ├── FlowError (ValueError)              a flow that is wrong as it is written
    │   ├── CycleError                      tasks that wait for each other
    │   ├── DuplicateNameError              two parameters, or two explicit slugs, of one name
    │   └── ParameterError                  a missing, unknown or wrong parameter
    ├── ArtifactError (ValueError)          bytes or an image that cannot be used
    │   ├── FormatError                     not a sealed flow, or a malformed one
    │   ├── AuthenticationError             the wrong key, or changed bytes: never said which
    │   ├── ImageContentError               an image whose bytes are not what their digests say
    │   └── CompatibilityError              made for another Python, or packages are missing here
    ├── NotAFlowError (TypeError)           something else where a Flow is needed
    ├── InvalidKeyError (ValueError)        a key of the wrong shape
    ├── SignaturePolicyError (ValueError)   for recipients unsigned, or nobody to trust is named
    ├── PicklingError                       a flow with something in it that cannot be pickled
    ├── IncludeError (ValueError)           a file that is to travel and is not there, or cannot
    ├── SecretError                         a secret without a value, or its value in an artifact
    ├── RequirementsError (ValueError)      dependencies that cannot be resolved
    │   └── IndexUnreachableError           the package index does not answer
    ├── TaskTimeoutError (TimeoutError)     a task took longer than its timeout
    ├── ExecutorError (RuntimeError)        the place where tasks should run is not there
    ├── RemoteTaskError                     what went wrong in another process, as text
    ├── ResultUnavailableError              a task's value that was released, or whose cluster is gone
    ├── StoreError                          results that cannot be stored, or read from a store
    ├── InputTooLargeError (OSError)        a file, device or pipe with more than is read of its kind
    ├── OutputError (FileExistsError)       a file of somebody else would be overwritten
    ├── DiskFullError (OSError)             no space for what is on its way
    ├── RecordError (ValueError)            a file that is no record of a run, or a run that is not there
    ├── TelemetryError                      nothing that could tell OpenTelemetry of a run
    ├── SettingError (ValueError)           a setting or a variable of the environment that means nothing
    ├── RenderError                         a drawing that cannot be made here
    ├── UnsupportedError (NotImplementedError)  what classic Prefect had and this package has not
    │   └── UnsupportedModuleError (ImportError)    a module of it
    ├── RegistryError                       what a registry could not do, or refused
    │   ├── RegistryLoginError              credentials are missing, or were refused
    │   └── RegistryNotFoundError           it does not have what was asked for
    ├── PlaceError                          a place that cannot be made ready here
    ├── ImageError                          an image that is absent, or unfit for what it is to do
    └── ContainerEngineError                what a container engine could not do, or refused
        ├── ContainerEngineUnavailableError no container engine answers, or it stopped doing so
        └── ImageBuildError                 a step of an image build failed

Messages name the cause and the fix. `ArtifactError` and its kin are raised before anything
in the artifact is executed.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "AuthenticationError",
    "CompatibilityError",
    "ContainerEngineError",
    "ContainerEngineUnavailableError",
    "CycleError",
    "DiskFullError",
    "DuplicateNameError",
    "ExecutorError",
    "FlowError",
    "FormatError",
    "ImageBuildError",
    "ImageContentError",
    "ImageError",
    "IncludeError",
    "IndexUnreachableError",
    "InputTooLargeError",
    "InvalidKeyError",
    "NotAFlowError",
    "OutputError",
    "ParameterError",
    "PicklingError",
    "PlaceError",
    "PrefectError",
    "RecordError",
    "RegistryError",
    "RegistryLoginError",
    "RegistryNotFoundError",
    "RemoteTaskError",
    "RenderError",
    "RequirementsError",
    "ResultUnavailableError",
    "SecretError",
    "SettingError",
    "SignaturePolicyError",
    "StoreError",
    "TaskTimeoutError",
    "TelemetryError",
    "UnsupportedError",
    "UnsupportedModuleError",
]


class PrefectError(Exception):
    """Base class of every error that this package raises on purpose."""


class FlowError(PrefectError, ValueError):
    """A flow is wrong as it is written."""


class CycleError(FlowError):
    """Tasks depend on each other in a circle; the message names them in order."""


class DuplicateNameError(FlowError):
    """Two parameters share a name, or two tasks were given the same slug."""


class ParameterError(FlowError):
    """A required parameter is missing, or one is unknown, given twice or of another type."""


class ArtifactError(PrefectError, ValueError):
    """A packaged flow cannot be used."""


class FormatError(ArtifactError):
    """The bytes are not a sealed flow, or are malformed."""


class AuthenticationError(ArtifactError):
    """The key does not open the sealed flow, no trusted signer signed it, or it was changed.

    Which of them it is, is not hinted at.
    """


class CompatibilityError(ArtifactError):
    """The artifact was made for another Python, or needs packages that are not here."""


class ImageContentError(ArtifactError):
    """Bytes of an image are malformed, or are not those that their digest and size promise."""


class NotAFlowError(PrefectError, TypeError):
    """Something other than a Flow was given, or found, where a Flow is needed."""


class InvalidKeyError(PrefectError, ValueError):
    """A key does not have the shape of one. The message never quotes it."""


class SignaturePolicyError(PrefectError, ValueError):
    """A caller wants to seal for recipients unsigned, or to open by identity trusting nobody.

    Whoever knows a recipient's public key can make a file that opens for it; the signature alone
    says who did.
    """


class PicklingError(PrefectError):
    """A flow holds something that cannot be pickled."""


class IncludeError(PrefectError, ValueError):
    """A file that is to travel with a flow is not there, or cannot travel."""


class SecretError(PrefectError):
    """A secret has no value where one is needed, or its value would come to rest somewhere."""


class RequirementsError(PrefectError, ValueError):
    """The Python dependencies cannot be resolved for where the flow is to run."""


class IndexUnreachableError(RequirementsError):
    """The package index that would resolve the Python dependencies does not answer."""


class TaskTimeoutError(PrefectError, TimeoutError):
    """A task took longer than its timeout; the result of a TimedOut state."""


class RemoteTaskError(PrefectError):
    """A task failed in another process, and what it raised there could not be sent."""


class ResultUnavailableError(PrefectError):
    """A task's value was released after its last use, or the cluster that held it is gone."""


class ExecutorError(PrefectError, RuntimeError):
    """An executor cannot start: Dask is not installed, or no scheduler answers."""


class StoreError(PrefectError):
    """Results cannot be stored, or what is stored cannot be read."""


class InputTooLargeError(PrefectError, OSError):
    """A file, device or pipe has more bytes than are read of its kind."""


class OutputError(PrefectError, FileExistsError):
    """A file that was not written by this package would be overwritten."""


class DiskFullError(PrefectError, OSError):
    """A disk that a build needs has no space left: that of a cache, or of temporary files."""


class TelemetryError(PrefectError):
    """OpenTelemetry cannot be told of a run: it is not installed, or its variables name what is not there."""


class SettingError(PrefectError, ValueError):
    """A setting or a variable of the environment means nothing, or names a directory that cannot be used."""


class RecordError(PrefectError, ValueError):
    """A file is no record of a run, or one of a later version; or there is no such run."""


class RenderError(PrefectError):
    """A drawing of a flow cannot be made, for example because Graphviz is not installed."""


class UnsupportedError(PrefectError, NotImplementedError):
    """Something of classic Prefect is used that is not here; the message says what to use instead."""


class UnsupportedModuleError(UnsupportedError, ImportError):
    """A module of classic Prefect is imported that is not here; the message says what to use instead."""


class RegistryError(PrefectError):
    """A registry could not do what was asked, did not answer, or refused."""


class RegistryLoginError(RegistryError):
    """A registry wants credentials that are not here, or refused those that are."""


class RegistryNotFoundError(RegistryError):
    """A registry does not have the image, or hides it from who asks."""


class ImageError(PrefectError):
    """An image does not exist, on disk or in a container engine, or is not fit for what it is to do."""


class PlaceError(PrefectError):
    """A place cannot be made ready here, or what is asked of it cannot be had there."""


class ContainerEngineError(PrefectError):
    """A container engine could not do what was asked, or refused."""


class ContainerEngineUnavailableError(ContainerEngineError):
    """No container engine answers, or the connection to it broke."""


class ImageBuildError(ContainerEngineError):
    """A step of an image build failed; the message ends with the step's own output."""
