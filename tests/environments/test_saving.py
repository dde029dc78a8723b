"""`Flow.save` and `Flow.load`."""

import pytest

from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment
from prefect.errors import ArtifactError, SecretError
from prefect.sealed.keys import EncryptionKey

VARIABLE = "PREFECT_ENCRYPTION_KEY"


@pytest.fixture
def flow():
    """A flow with a parameter."""
    with Flow("Save & load") as made:
        task(lambda x: x + 1, name="inc")(Parameter("x", default=1))
    return made


def test_a_saved_flow_is_sealed(flow, tmp_path, monkeypatch):
    """It is what `prefect build` writes, opened by the key of the variable alone, and runs when it is loaded."""
    monkeypatch.chdir(tmp_path)
    key = EncryptionKey.generate().encode()
    monkeypatch.setenv(VARIABLE, key)
    assert flow.save() == "save---load.flow"
    again = Flow.load(flow.save(tmp_path / "x.flow"))
    assert again.serialize() == flow.serialize()
    assert again.run(x=4).is_successful()
    assert PickleEnvironment(encryption_key=key).info(tmp_path / "x.flow")["name"] == "Save & load"
    monkeypatch.setenv(VARIABLE, EncryptionKey.generate().encode())
    with pytest.raises(ArtifactError):
        Flow.load(tmp_path / "x.flow")


def test_without_a_key_nothing_is_saved(flow, tmp_path, monkeypatch):
    """The error says which variable, and how to make a key; a flow's own environment has one."""
    monkeypatch.delenv(VARIABLE, raising=False)
    for call in (lambda: flow.save(tmp_path / "x.flow"), lambda: Flow.load(tmp_path / "x.flow")):
        with pytest.raises(SecretError, match=r"PREFECT_ENCRYPTION_KEY.*prefect keygen"):
            call()
    assert list(tmp_path.iterdir()) == []
    flow.environment = PickleEnvironment()
    path = flow.save(tmp_path / "x.flow")
    monkeypatch.setenv(VARIABLE, flow.environment.encryption_key)
    assert Flow.load(path).name == flow.name
