"""`prefect runs` and `prefect why`: what was kept, and why tasks ran again."""

import json
import re
import shlex
import textwrap

import pytest

from prefect import Flow, task

FLOW = """
    from prefect import Flow, Parameter, task

    FACTOR = 2

    @task
    def numbers(n):
        return list(range(n))

    @task
    def double(x):
        return FACTOR * x

    @task
    def total(xs, broken):
        if broken:
            raise ValueError("it is broken")
        return sum(xs)

    with Flow("sums") as flow:
        total(double.map(numbers(Parameter("n", default=2))), Parameter("broken", default=False))
"""


@pytest.fixture
def cli(prefect, monkeypatch, tmp_path):
    """Call the command; return what it says, and its status."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def call(*words, status=0):
        out, err = prefect(*words, status=status)
        return out + err

    return call


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Run the flow, changed as is asked, in a process of its own, and keep it."""
    import subprocess
    import sys

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(change=("", ""), **arguments):
        source = textwrap.dedent(FLOW).replace(*change) if change[0] else textwrap.dedent(FLOW)
        where = str(tmp_path / "data" / "prefect")
        source += f"flow.run(store={where!r}, **{arguments!r})\n"
        (tmp_path / "flow.py").write_text(source)
        subprocess.run([sys.executable, "flow.py"], check=True, capture_output=True)

    return run


def test_runs_are_listed_the_last_at_the_end(keep, cli):
    """Each with its flow, what it came to, how long it took, and how many tasks came to what."""
    assert "has no runs" in cli("runs")
    keep()
    keep(broken=True)
    lines = cli("runs").splitlines()
    assert len(lines) == 2
    assert "sums" in lines[0]
    assert "Success" in lines[0]
    assert "Failed" in lines[1]
    assert "1 Failed" in lines[1]
    assert [json.loads(line)["state"] for line in cli("runs", "--json").splitlines()] == [
        "Success", "Failed",
    ]  # fmt: skip
    assert "no runs of flow 'other'" in cli("runs", "--flow", "other")


def test_one_run_is_shown_with_its_tasks(keep, cli):
    """Where and when, parameters, and what became of each task."""
    keep(broken=True)
    shown = cli("runs", "show", "last")
    assert "broken = true" in shown
    assert "double[1]" in shown
    assert "ValueError: it is broken" in shown
    told = json.loads(cli("runs", "show", "last", "--json"))
    assert told["tasks"]["double-1"]["children"]["1"]["state"] == "Success"


@pytest.mark.parametrize(
    "words",
    [
        ("show", "last", "--flow", "double"),
        ("show", "last", "--all"),
        ("prune", "--older-than", "0s", "--flow", "double"),
        ("prune", "--older-than", "0s", "--all"),
        ("prune", "--older-than", "0s", "--json"),
    ],
)
def test_an_option_of_the_list_is_refused_elsewhere(words, keep, cli):
    """`prune --flow` would remove what other flows have left, though somebody wrote the name of one."""
    keep()
    assert "is for the list of runs" in cli("runs", *words, status=2)
    assert "has no runs" not in cli("runs")


def test_runs_are_pruned_by_age_and_size(keep, cli):
    """Without a limit nothing is removed; nonsense is refused."""
    keep()
    assert "without --older-than" in cli("runs", "prune", status=2)
    assert "Removed 0 files" in cli("runs", "prune", "--older-than", "30d")
    assert "Removed" in cli("runs", "prune", "--older-than", "0s")
    assert "has no runs" in cli("runs")
    for wrong in (["--older-than", "soon"], ["--larger-than", "much"]):
        assert wrong[0] in cli("runs", "prune", *wrong, status=2)
    assert "is for `prefect runs prune`" in cli("runs", "--older-than", "3d", status=2)
    assert "takes show RUN or prune, not 'frobnicate'" in cli("runs", "frobnicate", status=2)
    assert "none of that name" in cli("runs", "show", "nonsense", status=2)


@pytest.mark.parametrize(
    ("first", "then", "task", "why"),
    [
        ({}, {}, "total", "total ran again: nothing that is recorded has changed"),
        ({}, {"resume": True}, "total", "total did not run again: run "),
        ({}, {"resume": True}, "double[1]", "double[1] did not run again: run "),
        ({"broken": True}, {"resume": True, "broken": False}, "total", "it came to Failed"),
        ({}, {"resume": True, "n": 3}, "numbers", "parameter n is 3 now, and was 2"),
        ({}, {"resume": True, "n": 3}, "double[2]", "did not come to it, which had no such child"),
        ({}, {"resume": True, "n": 3}, "total", "its input xs has changed: double came to something else"),
        ({}, {"resume": True, "change": ("FACTOR = 2", "FACTOR = 3")}, "double[1]", "FACTOR has changed"),
        ({}, {"resume": True, "change": ("return FACTOR * x", "return x * FACTOR")}, "double[0]",
         "double has changed"),
    ],
)  # fmt: skip
def test_why_a_task_ran_again_is_said_in_a_sentence(keep, cli, first, then, task, why):
    """It names what changed, or whose result was taken."""
    keep(**first)
    keep(**then)
    said = cli("why", "last", task)
    assert why in said
    assert len(said.splitlines()) == 1


def test_why_gathers_the_children_of_a_mapped_task(keep, cli):
    """One sentence says what is true of several, with the first of them; without a task, too."""
    keep(n=9)
    assert cli("why", "last", "double").startswith("double (all 9 children) ran: this is the first")
    keep(resume=True, n=11)
    same, new = sorted(cli("why", "last", "double").splitlines())
    assert same.startswith("double (2 of 11 children: 9, 10) ran: run ")
    assert "which had no such child" in same
    assert new.startswith(
        "double (9 of 11 children: 0, 1, 2, 3, 4, … and 4 more) did not run again: run "
    )
    assert [same, new] == sorted(
        x for x in cli("why", "last").splitlines() if x.startswith("double")
    )


def test_why_tells_what_a_run_that_was_killed_had_not_finished(keep, cli, tmp_path):
    """What ran then is told apart from what has changed, and what it had not come to from what it did not have."""
    keep(n=3)
    (record,) = (tmp_path / "data" / "prefect" / "runs").glob("*.jsonl")
    lines = record.read_text().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    where = next(i for i, event in enumerate(events) if event.get("map_index") == 1)
    running = {key: events[where][key] for key in ("event", "time", "task", "map_index")}
    record.write_text("".join(lines[:where]) + json.dumps({**running, "state": "Running"}) + "\n")
    keep(n=3)
    assert "ran again: nothing that is recorded has changed" in cli("why", "last", "double[0]")
    assert "ran again: run " in cli("why", "last", "double[1]")
    assert cli("why", "last", "double[1]").endswith("ended before it had finished.\n")
    assert cli("why", "last", "double[2]").endswith("did not come to it.\n")
    reported = cli("runs", "show", "last", "--json") + cli("report", "last")
    assert "has changed" not in reported


def test_of_the_first_run_there_is_nothing_to_compare_with(keep, cli):
    """That is said; and what there is no task of."""
    keep()
    assert "first run of flow 'sums'" in cli("why", "last", "total")
    assert len(cli("why", "last").splitlines()) == 3
    said = cli("why", "last", "nonsense", status=2)
    assert "has no task 'nonsense'. It has: broken, double" in said


def test_a_task_that_is_not_there_is_told_beside_the_first_of_many(tmp_path, cli):
    """That there are more than those which are named is said."""
    with Flow("many") as flow:
        for number in range(23):
            task(lambda: 1, name=f"t{number:02}")()
    flow.run(store=tmp_path / "runs")
    said = cli("why", "last", "t99", "--store", str(tmp_path / "runs"), status=2)
    assert "It has: t00, t01, " in said
    assert said.endswith("t19, … and 3 more\n")


SEVERAL = """
    from prefect import Flow, Parameter, context, task
    from prefect.engine.signals import LOOP, SKIP

    @task
    def numbers(n):
        return list(range(n))

    @task(cache=True)
    def double(x):
        return 2 * x

    @task
    def again():
        if context.get("task_loop_count", 1) < 3:
            raise LOOP(result=None)

    @task
    def left_out():
        raise SKIP("nothing to do")

    with Flow("several") as flow:
        double.map(numbers(Parameter("n", default=3)))
        [again(), left_out(), numbers(1)["no key of a list"]]
"""


def test_all_views_of_a_run_count_its_tasks_and_name_them_alike(cli, tmp_path, monkeypatch):
    """`runs`, `runs show`, `report` and `why`: of mapped, cached, skipped and looped tasks, and two of one name."""
    monkeypatch.chdir(tmp_path)
    source = textwrap.dedent(SEVERAL)
    (tmp_path / "several.py").write_text(source)
    for _ in range(2):
        cli("run", "several.py", "--keep", status=1)  # the lookup fails
    counts = "3 Cached, 3 Success, 1 Failed, 1 Skipped"
    listed = cli("runs").splitlines()[-1]
    shown = cli("runs", "show", "last")
    reported = cli("report", "last", "--text")
    assert listed.endswith(counts)
    assert f"tasks: {counts}\n" in shown
    assert f"{counts}\n" in reported
    for label in (
        "numbers-1",
        "numbers-2",
        "double",
        "again",
        "left_out",
        "numbers['no key of a list']",
    ):
        assert re.search(rf"^  [A-Z]\w+ +{re.escape(label)}(\[\d\])?( |$)", shown, re.MULTILINE)
        assert re.search(rf"^[✓=↷✗] {re.escape(label)} ", reported, re.MULTILINE)
    why = {line.split(" ")[0] for line in cli("why", "last").splitlines()}
    assert why == {"numbers-1", "numbers-2", "double", "again"}
    for parameter in ("  Success       n\n", "✓ n "):  # which is told of where parameters are
        assert parameter not in shown + reported
    assert "double (all 3 children) did not run again" in cli("why", "last", "double")


def test_children_that_a_killed_run_had_not_come_to_are_counted(cli, tmp_path):
    """As pending, in each view: the record says only how many there were to be."""
    import records

    events = records.small()
    cut = [
        event
        for event in events
        if event.get("map_index") not in {4, 5, 6} and event["event"] != "flow"
    ]
    path = str(records.write(tmp_path / "cut.jsonl", cut))
    assert "3 Pending" in cli("report", path)
    assert "3 Pending" in cli("runs", "show", path)
    assert "train (3 more children)" in cli("runs", "show", path)
    assert "train (3 of 12 children: 4, 5, 6) did not run" in cli("why", path, "train")


def test_what_is_told_to_be_run_names_the_store(cli, tmp_path, monkeypatch):
    """A command that is pasted looks where this one did; none is named where it is the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.py").write_text(textwrap.dedent(FLOW))
    where = ["--store", "my runs"]
    assert "`prefect run X --store 'my runs'` keeps one" in (empty := cli("runs", *where)).replace(
        f"{tmp_path}/", ""
    )
    assert f"'{tmp_path}/my runs'" in empty
    cli("run", "sums.py", *where)
    for command in (["runs", "show", "nonsense"], ["report", "nonsense"], ["why", "nonsense"]):
        said = cli(*command, *where, status=2)
        assert f"`prefect runs --store '{tmp_path}/my runs'` lists all" in said
        assert "`prefect runs` lists all" in cli(*command, status=2)
    pasted = shlex.split(said.split("`")[1])[1:]
    assert "sums" in cli(*pasted)


READS = """
    import sys
    from prefect import Flow, context, task
    from prefect.secrets.masking import mask_until_exit

    @task(cache=True)
    def dated(things):
        return len([context.today, context.region, context.token, context.get("thing"), context.extra])

    with Flow("reads") as flow:
        dated([1])

    day, region, token = sys.argv[2:5]
    mask_until_exit([token])
    values = {"today": day, "region": region, "token": token, "thing": {1, len(day)}, "extra": "e" * 300 + region}
    assert flow.run(store=sys.argv[1], context=values).is_successful()
"""


def test_why_names_what_has_changed_of_the_context_that_a_task_reads(cli, tmp_path):
    """With the old value and the new one, in a line of bounded length; of a secret and of what is no JSON only that."""
    import subprocess
    import sys

    (tmp_path / "reads.py").write_text(textwrap.dedent(READS))
    where = str(tmp_path / "data" / "prefect")

    def run(*values):
        subprocess.run([sys.executable, "reads.py", where, *values], cwd=tmp_path, check=True)
        return cli("why", "last", "dated")

    run("2026-11-29", "north", "s3cret-1")
    assert "did not run again" in run("2026-11-29", "north", "s3cret-1")
    said = run("2026-11-30", "so\x1buth", "s3cret-2")
    assert 'context.today is "2026-11-30" now, and was "2026-11-29"' in said
    assert 'context.region is "so\\u001buth" now, and was "north"' in said
    assert "context.token has changed" in said
    assert "context.extra has changed" in said
    assert "s3cret" not in said
    assert len(said.splitlines()) == 1
    assert len(said) < 300


REQUIRED = """
    from prefect import Flow, Parameter, task

    @task
    def show(d, n):
        print("shown", d, n)
        if n > 5:
            raise ValueError("too many")

    with Flow("par") as flow:
        show(Parameter("d"), Parameter("n", default=1))
"""


def test_a_run_that_is_gone_on_with_gives_the_required_parameters(cli, prefect):
    """Those that are not given, of a file and of a sealed flow; one that neither gives is asked for."""
    (prefect.directory / "par.py").write_text(textwrap.dedent(REQUIRED))
    cli("keygen", "flow.key")
    cli("build", "par.py", "--key-file", "flow.key", "-o", "par.flow")
    cli("run", "par.py", "-p", "d=g2", "-p", "n=7", "--store", "st", status=1)
    sealed = ("par.flow", "--key-file", "flow.key", "--in", "here")
    assert "shown g2 7" in cli("run", "par.py", "--store", "st", "--resume", status=1)
    assert "shown g2 7" in cli("run", *sealed, "--store", "st", "--resume", status=1)
    assert "shown g2 3" in cli("run", *sealed, "--store", "st", "--resume", "-p", "n=3")
    changed = textwrap.dedent(REQUIRED).replace('Parameter("d")', 'Parameter("e")')
    (prefect.directory / "par.py").write_text(changed)
    said = cli("run", "par.py", "--store", "st", "--resume", status=2)
    assert "needs a value for parameter 'e'" in said


MADE = """
    from prefect import Flow, task

    class Made:
        def __init__(self, n):
            self.n = n

        def more(self):
            return self.n + 1

    @task
    def make():
        return Made(3)

    @task
    def use(s):
        return s.more()

    with Flow("w6") as flow:
        use(make())
"""


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        (("return s.more()", "return 1 / 0"), 1, "use ran again: w6.use has changed."),
        (("self.n + 1", "self.n + 2"), 0, "came to the same, and the code of what that is made of has changed."),
        (("Made(3)", "Made(None)"), 1, "what it was given is not recorded where it came to Failed."),
        (("Made(3)", "Made(4)"), 0, "its input s has changed: make came to something else."),
    ],
)  # fmt: skip
def test_why_blames_what_has_changed_alone(cli, prefect, change, status, why):
    """Also of a task that fails then, of which no input is recorded."""
    (prefect.directory / "w6.py").write_text(textwrap.dedent(MADE))
    cli("run", "w6.py", "--store", "st")
    (prefect.directory / "w6.py").write_text(textwrap.dedent(MADE).replace(*change))
    cli("run", "w6.py", "--store", "st", "--resume", status=status)
    assert why in cli("why", "last", "use", "--store", "st")


def test_a_run_is_named_after_its_flow(cli, prefect):
    """Whatever the file is called that the flow is in, and whether it is sealed."""
    (prefect.directory / "flow.py").write_text(textwrap.dedent(MADE))
    cli("keygen", "flow.key")
    cli("build", "flow.py", "--key-file", "flow.key", "-o", "sealed.flow")
    assert re.search(r"Kept as [0-9.-]+-w6-[0-9a-f]{8}", cli("run", "flow.py", "--keep"))
    sealed = cli("run", "sealed.flow", "--key-file", "flow.key", "--in", "here", "--keep")
    assert re.search(r"Kept as [0-9.-]+-w6-[0-9a-f]{8}", sealed)
    assert "Kept as" not in cli("run", "flow.py", "--keep", "-p", "nothing=1", status=2)
