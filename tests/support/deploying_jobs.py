"""Jobs for a platform, plain and hostile ones."""

from decimal import Decimal

from hypothesis import strategies as st

from prefect.images.deploying.job import Job
from prefect.images.deploying.quantities import User, Volume
from prefect.images.deploying.schedule import parse_schedule

IMAGE = "registry.example.com:5000/team/etl@sha256:" + "0a" * 32
HOSTILE = [
    "$HOME", "$$", "$", "$(x)", "$(HOME)", "${HOME}", "`id`", "%d %h %%", "a'b\"c", "\\", "a\\", "\\n",
    "a\nb", "\r\n", "\t", "", " ", "#", "a #b", "a: b", "- a", "*", "&a", "!!str", "yes", "NO", "null", "~",
    "1e3", "0x1f", "010", "1_000", "12:30:00", "2024-01-01", "{{ x }}", "{}", "[", ";", "a;b", "|", ">", "@x",
    "\x1b[31m", "\x7f", "\x85", "\u2028", "\ufeff", "ä", "😀", "\U000e0001", "---", "...", "=", "<<", ",",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join),
)


def job(**fields) -> Job:
    """Return a job with everything that is not given left out."""
    plain = {
        "name": "etl", "image": IMAGE, "flow": "etl", "version": "1", "arguments": ("run",),
        "user": User(0),
    }  # fmt: skip
    return Job(**plain | fields)


def full(**fields) -> Job:
    """Return a job that uses all that every kind has."""
    return job(
        **{
            "arguments": ("run", "--parameter=day=2024-01-01", *HOSTILE),
            "user": User(1000, 2000),
            "variables": {f"V{n}": text for n, text in enumerate(HOSTILE)} | {"yes": "no"},
            "secrets": ("DB_PASSWORD", "PREFECT_ENCRYPTION_KEY"),
            "architecture": "arm64",
            "memory": 3 << 29,
            "cpus": Decimal(2),
            "gpus": 2,
            "retries": 3,
            "volumes": (Volume("/data", "/data", read_only=True), Volume("/scratch", "/scratch")),
        }
        | fields
    )


def variants(**fields):
    """Return jobs that differ in what changes the form of what is written, by what they are."""
    with_schedule = {"schedule": parse_schedule("*/15 6-8 * * mon-fri", "Europe/Berlin")}
    return {
        "plain": job(**fields),
        "secrets": job(secrets=("DB_PASSWORD",), **fields),
        "as-user": job(user=User(1000), secrets=("DB_PASSWORD",), **fields),
        "writable": job(writable=True, **fields),
        "own-tmp": job(volumes=(Volume("/scratch", "/tmp/"),), **fields),
        "full": full(**fields),
        "hostile-name": full(flow="".join(HOSTILE), **fields),
        "scheduled": full(**with_schedule | fields),
    }
