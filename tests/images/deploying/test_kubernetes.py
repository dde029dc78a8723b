"""`prefect.images.deploying.kubernetes`, against the published schemas, which know every field there is."""

import copy
import re

import kubernetes_validate
import pytest
import yaml
from deploying_jobs import HOSTILE, IMAGE, full, job, texts, variants
from hypothesis import given, settings

from prefect.images.deploying import kubernetes
from prefect.images.deploying.quantities import User, Volume
from prefect.images.deploying.schedule import parse_schedule

VERSIONS = ["1.31", "1.37"]  # the first in which all that is used is stable, and the newest here


def manifest(job_, write=kubernetes.job):
    (part,) = write(job_)
    assert part.ending == ".yaml"
    return yaml.safe_load(part.text)


def pod(job_):
    return manifest(job_)["spec"]["template"]["spec"]


def expanded(text, names=()):
    """Do what the cluster does with $(NAME) and $$, as its documentation has it."""
    return re.sub(
        r"\$\$|\$\((.*?)\)",
        lambda found: "$" if found[0] == "$$" else f"<{found[1]}>",
        text,
        flags=re.DOTALL,
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", variants())
def test_every_form_is_valid(what, version):
    """A Job and a CronJob have no field that is unknown, missing or of another type."""
    kubernetes_validate.validate(manifest(variants()[what]), version, strict=True)
    scheduled = variants(schedule=parse_schedule("0 6 * * *"), name="x" * 52)[what]
    kubernetes_validate.validate(manifest(scheduled, kubernetes.cron_job), version, strict=True)


@pytest.mark.parametrize(
    ("where", "value"),
    [(("spec", "backofLimit"), 1), (("spec", "backoffLimit"), "1"), (("spec", "template"), None)],
)
def test_the_schemas_refuse_what_is_wrong(where, value):
    """So that the test above can fail: an unknown field, one of another type, one that is missing."""
    wrong = copy.deepcopy(manifest(job()))
    wrong[where[0]][where[1]] = value
    if value is None:
        del wrong[where[0]][where[1]]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@settings(deadline=None)
@given(texts, texts)
def test_the_container_gets_every_text_as_it_is(argument, value):
    """Neither YAML nor the cluster's own variables change an argument or a variable's value."""
    (container,) = pod(job(arguments=("run", argument), variables={"V": value}))["containers"]
    assert [expanded(word) for word in container["args"]] == ["run", argument]
    assert expanded(container["env"][0]["value"]) == value


def test_a_run_ends_as_its_exit_status_says():
    """Bad input is not tried again, a drained node costs no try, and the rest is --retries."""
    spec = manifest(job(retries=2, time_limit=90))["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (2, 90)
    fail, ignore = spec["podFailurePolicy"]["rules"]
    assert fail["action"] == "FailJob"
    assert fail["onExitCodes"] == {"containerName": "flow", "operator": "In", "values": [2]}
    assert ignore["action"] == "Ignore"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert manifest(job())["spec"]["backoffLimit"] == 0


def test_the_image_is_named_by_digest_and_its_own_program_runs():
    """No command replaces the image's."""
    (container,) = pod(job())["containers"]
    assert (container["image"], container["args"]) == (IMAGE, ["run"])
    assert "command" not in container


def test_secrets_are_files_that_the_user_alone_reads():
    """Root's own, or those of the user's group; never variables."""
    for user, mode in ((User(0), 0o400), (User(1000), 0o440), (User(1000, 50), 0o440)):
        made = pod(job(secrets=("A", "B"), secret_name="vault", user=user))
        (volume,) = (one for one in made["volumes"] if one["name"] == "secrets")
        assert volume["secret"]["secretName"] == "vault"
        assert volume["secret"]["defaultMode"] == mode
        assert [one["path"] for one in volume["secret"]["items"]] == ["A", "B"]
        (container,) = made["containers"]
        (mount,) = (one for one in container["volumeMounts"] if one["name"] == "secrets")
        assert container["env"] == [{"name": "PREFECT_SECRETS_DIR", "value": mount["mountPath"]}]
        assert made["securityContext"].get("fsGroup") == (user.group if user.uid else None)


def test_secrets_leave_room_for_the_clusters_own():
    """Tokens of accounts are mounted below /run/secrets, which what is mounted there would hinder."""
    made = pod(job(secrets=("A",), service_account="runner"))
    assert made["serviceAccountName"] == "runner"
    assert made["automountServiceAccountToken"]
    assert not pod(job())["automountServiceAccountToken"]
    for mount in made["containers"][0]["volumeMounts"]:
        assert not mount["mountPath"].startswith(("/run/secrets", "/var/run"))


def test_it_has_no_privileges():
    """The restricted profile of Kubernetes, but for root, where the image is root's."""
    for user in (User(0), User(1000)):
        made = pod(job(user=user))
        security = made["containers"][0]["securityContext"]
        assert security == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert made["securityContext"].get("runAsNonRoot", False) == (user.uid != 0)
    made = pod(job(writable=True))
    assert not made["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert "volumes" not in made


def test_temporary_files_have_one_place():
    """That of a volume of the user's, where there is one."""
    (mount,) = pod(job())["containers"][0]["volumeMounts"]
    assert mount["mountPath"] == "/tmp"
    made = pod(job(volumes=(Volume("scratch", "/tmp"),)))
    assert [one["name"] for one in made["containers"][0]["volumeMounts"]] == ["volume-0"]
    assert made["volumes"] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "scratch"}}
    ]


def test_it_goes_to_nodes_that_can_execute_it():
    """Where the image is for one kind of processor."""
    assert pod(full())["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert "nodeSelector" not in pod(job())


def test_a_claim_has_a_name_that_the_cluster_takes():
    """Docker's volumes may have others."""
    for name in ("Data", "my_data", "a..b", "x" * 254):
        with pytest.raises(ValueError, match="no name of a claim"):
            kubernetes.job(job(volumes=(Volume(name, "/data"),)))
    assert kubernetes.job(job(volumes=(Volume("data.of-1", "/data"),)))


def test_resources_are_asked_for_and_are_the_limit():
    """In the cluster's units."""
    resources = pod(full())["containers"][0]["resources"]
    assert resources["limits"] == resources["requests"]
    assert resources["limits"] == {"cpu": "2", "memory": "1536Mi", "nvidia.com/gpu": "2"}


def test_a_schedule_is_of_its_time_zone():
    """A run that is still going on is not joined by another."""
    scheduled = job(schedule=parse_schedule("0 6 * * 7", "Europe/Berlin"))
    spec = manifest(scheduled, kubernetes.cron_job)["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 6 * * 0", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"


def test_comments_say_what_is_to_be_done():
    """Whatever the flow is called, they stay comments."""
    for name in HOSTILE:
        (part,) = kubernetes.job(full(flow=f"x\n{name}\nkind: Pod", namespace="data"))
        above, below = part.text.split("\n\n", 1)
        assert all(line.startswith("# ") and line.isprintable() for line in above.splitlines())
        assert below.startswith("apiVersion:")
    assert "kubectl create secret generic etl --namespace=data --from-file=DB_PASSWORD" in above
