"""A flow as one encrypted file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core import check
from prefect.core.parameter_check import as_given
from prefect.environments.environment import allowed_names, lines
from prefect.environments.pickle_opening import PickleOpening
from prefect.errors import ArtifactError, NotAFlowError, OutputError
from prefect.frozen import replace
from prefect.pyz.reading import ENDING
from prefect.secrets.secret import Secret, merge_secrets, resolve, secrets_of

# Imported within the functions that need them: a flow that was packaged with this environment is
# also loaded where cryptography is not installed, such as inside an image.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.dependencies.flow_lock import LockWishes
    from prefect.environments.bringing import Bringing
    from prefect.payload.manifest import Manifest
    from prefect.pyz.writing import Packed
    from prefect.sealed.keys.encryption import EncryptionKey
    from prefect.sealed.keys.recipients import Identity, Recipient
    from prefect.sealed.keys.signers import Signer, SigningKey
    from prefect.sealed.source import SealedSource


class PickleEnvironment(PickleOpening):
    """Packages a flow as an encrypted pickle and runs it in this process.

    Whoever holds the encryption key can read the flow and make files that it opens: give a key
    only to those whom you would let run code here, or ask for signatures. The environment itself
    is pickled, serialized and printed without its keys.

    Args:
        encryption_key: 32 random bytes, raw or as URL-safe base64. Several in a list are a keyring:
            the first seals, any opens. None makes a new one, unless recipients or an identity are
            given.
        secrets: names of what the flow needs at run time as environment variables.
        recipients: public keys of those who may open the flow too; this needs a signing key.
        identity: the private key that opens what was sealed for its recipient, or several of them;
            reading with it needs trusted signers.
        signing_key: signs what is built.
        trusted_signers: public keys, one of which must have signed what is read, whatever the file
            says. None asks for no signature.
        allow_secret_like: names of what looks like a well-known token and is none, such as
            "aws-access-key-0123abcd"; a build warns of any other.
        include: files that travel with the flow, encrypted as it is: paths of files and directories,
            or patterns such as "sql/*.sql", in which `**` stands for any directories. Where the flow
            runs, its modules find them where they find them here: beside their `__file__`, or by
            `importlib.resources`.
        include_from: the directory that relative paths of `include` are relative to; by default that
            of the file that makes the environment.
        python_dependencies: requirement lines, such as "pandas>=2", beside what the flow imports.
        infer: lock also what the flow imports and no line asks for, in the versions that are
            installed here.
        lock: file of locked dependencies, lines with hashes or a pylock.toml; taken if it is there
            and fits what is asked for, else written. The file is never changed.
        relock: write that file anew, also where it is there: for when what is asked for has changed.
        allow_source: names of distributions that may be built from source, here and where the flow
            runs, where they have no wheel that fits: their build scripts are run.
        project: directory of a project whose pylock.toml, or uv.lock, says the versions.
        platforms: for which the dependencies are locked, such as "linux/arm64" or "macos/arm64";
            none is the one here.
        pythons: series of Python for which they are locked, such as "3.12"; none is the one here.
        vendor: take the wheels of all that is locked along, for where no index can be reached.

    A build locks what the flow imports and what these need in turn, with hashes, and the lock travels
    in the manifest. Where nothing more is asked for than what is installed here and no index can be
    reached, it warns, and the manifest has the installed versions alone.

    A key is given as the line of text that `prefect keygen` writes, a str or bytes, or as the object
    of `prefect.sealed.keys` that it spells.

    Raises:
        TypeError: a key is neither bytes nor str, nor a key of its kind; or another argument is of
            the wrong type.
        InvalidKeyError: a key has not the shape of one.
        ValueError: `allow_secret_like` has what cannot be such a name, a platform or a Python is
            unknown, or there is no file to lock anew.
        SignaturePolicyError: there are recipients, and no signing key.
    """

    def __init__(
        self,
        encryption_key: bytes
        | str
        | EncryptionKey
        | Sequence[bytes | str | EncryptionKey]
        | None = None,
        *,
        secrets: Iterable[str | Secret] | None = None,
        recipients: bytes | str | Recipient | Sequence[bytes | str | Recipient] | None = None,
        identity: bytes | str | Identity | Sequence[bytes | str | Identity] | None = None,
        signing_key: bytes | str | SigningKey | None = None,
        trusted_signers: bytes | str | Signer | Sequence[bytes | str | Signer] | None = None,
        allow_secret_like: Iterable[str] | None = None,
        include: Iterable[str | os.PathLike[str]] | None = None,
        include_from: str | os.PathLike[str] | None = None,
        python_dependencies: Sequence[str] | None = None,
        infer: bool = True,
        lock: str | os.PathLike[str] | None = None,
        relock: bool = False,
        allow_source: Sequence[str] = (),
        project: str | os.PathLike[str] | None = None,
        platforms: Sequence[str] = (),
        pythons: Sequence[str] = (),
        vendor: bool = False,
    ) -> None:
        from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415

        super().__init__(secrets, include=include, include_from=include_from)
        self.allow_secret_like = allowed_names(allow_secret_like)
        self._keys = Keyring.of(
            encryption_key,
            recipients=recipients,
            identity=identity,
            signing_key=signing_key,
            trusted_signers=trusted_signers,
        )
        self.python_dependencies = lines("python_dependencies", "pandas", python_dependencies)
        self.infer = check.flag("infer", infer)
        self.lock = None if lock is None else os.fspath(check.path("lock", lock))
        self.relock = check.flag("relock", relock)
        self.allow_source = tuple(lines("allow_source", "docopt", allow_source) or ())
        self.project = None if project is None else os.fspath(check.path("project", project))
        self.platforms = tuple(lines("platforms", "linux/arm64", platforms) or ())
        self.pythons = tuple(lines("pythons", "3.12", pythons) or ())
        self.vendor = check.flag("vendor", vendor)
        self._wishes()  # which checks them
        self._built: bytes | Path | None = None

    @property
    def encryption_key(self) -> str:
        """The key that seals, as URL-safe base64; keep it apart from what it opens.

        Raises:
            ArtifactError: there is none, or this environment came out of an artifact, where keys
                never are.
        """
        return self.keyring.first().encode()

    def build(self, flow: Flow | None = None) -> bytes:
        """Return the flow as an encrypted pickle, for `info` and `run` here or elsewhere.

        Args:
            flow: the flow to package; there is no encrypted pickle without one.

        Raises:
            NotAFlowError: `flow` is not a Flow, or is left out (a TypeError).
            FlowError: the flow is wrong as it is written.
            PicklingError: something in it cannot be pickled.
            SecretError: a secret's value, or a key, occurs in it.
            IncludeError: a file that is to travel is not there, or cannot.
            RequirementsError: what the flow needs cannot be locked, or the wheel of a project of the
                user's own cannot be built.
            ArtifactError: there is no key to seal with, or the flow is too large.
        """
        from prefect.sealing import seal_flow  # noqa: PLC0415

        if flow is None:
            raise NotAFlowError("Only a Flow can be packaged, and none was given: call build(flow)")
        with self._bringing() as bringing:
            _, self._built = seal_flow(
                flow, self.keyring, self.secrets, self.allow_secret_like, self._included(), bringing.own,
                complete=bringing.complete,
            )  # fmt: skip
        return self._built

    def build_to(self, path: str | os.PathLike[str], flow: Flow) -> None:
        """Write the flow as an encrypted pickle into a file, however large it is.

        The pickle goes through the encryption piece by piece: no plaintext is put on disk, and
        none of it is held in memory beyond a few MiB. Until it is complete the file has another
        name; a former file at `path` is lost only to a complete one.

        Where the path ends in ".pyz", it is a file that runs by itself: `python etl.pyz` runs the flow
        where nothing but Python is installed. Beside the sealed flow it has in the clear what runs one, and
        cryptography for this platform and each Python from 3.11 on, or for `platforms` and `pythons`.

        Args:
            path: the file to write.
            flow: the flow to package.

        Raises:
            NotAFlowError: `flow` is not a Flow (a TypeError).
            FlowError: the flow is wrong as it is written.
            PicklingError: something in it cannot be pickled.
            SecretError: a secret's value, or a key, occurs in it.
            IncludeError: a file that is to travel is not there, or cannot.
            RequirementsError: what the flow needs cannot be locked, or the wheel of a project of the
                user's own cannot be built.
            ArtifactError: there is no key to seal with, or the flow is too large.
            OutputError: the path is a directory's (a FileExistsError).
            ValueError: the path is empty.
            OSError: the file cannot be written.
        """
        if Path(check.path("path", path)).is_dir():
            raise OutputError(
                f"{os.fspath(path)!r} is a directory: name the file to write, such as etl.flow"
            )
        from prefect.sealing import seal_flow_to  # noqa: PLC0415

        clear: Sequence[Packed] = ()
        runtime = ""
        if Path(path).suffix == ENDING:
            from prefect.standalone import clear_members  # noqa: PLC0415 - for these alone

            self.keyring.to_seal()  # before anything is fetched
            clear, runtime = clear_members(self.platforms, self.pythons)
        with self._bringing() as bringing:

            def finished(manifest: Manifest) -> Manifest:
                done = bringing.complete(manifest)
                if clear and self.vendor and not self.pythons:
                    from prefect.standalone import warn_of_one_series  # noqa: PLC0415 - as above

                    warn_of_one_series(done.wheels)
                return replace(done, runtime=runtime)

            seal_flow_to(
                path, flow, self.keyring, self.secrets, self.allow_secret_like, self._included(),
                bringing.own, complete=finished, clear=clear,
            )  # fmt: skip
        self._built = Path(path)

    def run(
        self,
        bytes: SealedSource | None = None,  # noqa: A002 - the promised name
        *,
        parameters: Mapping[str, Any] | None = None,
        executor: Any = None,
        on_state: Callable[[Any], None] | None = None,
        strict: bool = False,
        output: str | os.PathLike[str] | None = None,
        store: str | os.PathLike[str] | None = None,
        resume: str | bool | None = None,
    ) -> State:
        """Run an encrypted pickle in this process, by default the one that was built last.

        Args:
            bytes: the encrypted pickle itself, or the path of its file.
            parameters: values by the names of the flow's parameters.
            executor: where tasks run, an executor or its text form, such as "threads:8"; by default
                where the flow says, or here, one after the other.
            on_state: called with each change of a task's state.
            strict: refuse to run where what the flow needs is installed in other versions than where
                it was packaged. Otherwise each is logged as a warning.
            output: a directory, made if it is not there, for the files that tasks make: they know it as
                `prefect.context.output_dir`.
            store: where the tasks' results and a record of the run are kept, a directory or a URL, as of `Flow.run`.
            resume: a run in the store to go on with, or True for the last one of this flow.

        Returns:
            The flow's final state; a failed flow is a `Failed` state, not an exception.

        Raises:
            TypeError: `bytes` is neither bytes nor a path, or does not hold a Flow
                (NotAFlowError).
            ArtifactError: nothing was built yet, or the pickle cannot be opened or loaded here.
            CompatibilityError: what the flow needs is not here, or in another version and the run
                is strict.
            SignaturePolicyError: an identity has to open it, and no trusted signers are named.
            SecretError: a secret has no value.
            ParameterError: a parameter is missing, unknown or of another type.
            PlaceError: the output directory cannot be made, or not be written.
            StoreError, RecordError: the store cannot be used, or has no such run.
            OSError: the file cannot be read.
        """
        parameters = as_given(parameters)
        if on_state is not None:
            check.function("on_state", on_state)
        check.flag("strict", strict)
        if output is not None:
            check.path("output", output)
        if bytes is None:
            bytes = self._built  # noqa: A001
        if bytes is None:
            raise ArtifactError("There is nothing to run: build a flow first, or pass the bytes")
        # Who packages runs nothing.
        from prefect.keeping import kept_of  # noqa: PLC0415
        from prefect.opening import open_flow  # noqa: PLC0415
        from prefect.running.output_directory import make_output_directory  # noqa: PLC0415
        from prefect.running.packaged import run_packaged  # noqa: PLC0415
        from prefect.running.run_directory import RunDirectory  # noqa: PLC0415
        from prefect.running.verdict import require_fit  # noqa: PLC0415

        kept = kept_of(store, resume)
        with RunDirectory() as directory:
            manifest, payload = open_flow(
                bytes, self.keyring, directory.make, directory.make_for_wheels
            )
            directory.import_wheels()
            # A value set on this environment's own secret counts; names alone come from the flow.
            secrets = merge_secrets(secrets_of(manifest.flow), self.secrets)
            require_fit(manifest, secrets)
            return run_packaged(
                manifest,
                payload,
                resolve(secrets),
                parameters=parameters,
                executor=executor,
                on_state=on_state,
                strict=strict,
                directory=directory.path,
                output=None if output is None else make_output_directory(output),
                kept=kept,
            )

    def _bringing(self) -> Bringing:
        from prefect.environments.bringing import Bringing  # noqa: PLC0415 - for builds alone

        return Bringing(self._wishes(), infer=self.infer)

    def _wishes(self) -> LockWishes | None:
        """Return what is asked of the lock, checked; None, and nothing imported, where nothing is."""
        if not (
            self.python_dependencies
            or self.lock is not None
            or self.relock
            or self.project is not None
            or self.allow_source
            or self.platforms
            or self.pythons
            or self.vendor
        ):
            return None
        from prefect.dependencies.flow_lock import LockWishes  # noqa: PLC0415 - not there where flows only run

        return LockWishes(
            tuple(self.python_dependencies or ()),
            self.infer,
            self.lock,
            self.relock,
            self.allow_source,
            self.project,
            self.platforms,
            self.pythons,
            self.vendor,
        )

    def __getstate__(self) -> dict[str, Any]:
        # What is of the machine that builds stays there.
        paths = {"lock": None, "relock": False, "project": None, "infer": True, "allow_source": ()}
        paths |= {"python_dependencies": None, "vendor": False}
        return super().__getstate__() | {"_keys": None, "_built": None} | paths
