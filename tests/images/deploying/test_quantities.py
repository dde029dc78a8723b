"""`prefect.images.deploying.quantities`: what users of docker write is understood, or refused."""

from decimal import Decimal

import pytest

from prefect.images.deploying.quantities import (
    User,
    Volume,
    memory_text,
    parse_cpus,
    parse_duration,
    parse_memory,
    parse_user,
    parse_variables,
    parse_volume,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512m", 512 << 20), ("2g", 2 << 30), ("2G", 2 << 30), ("2Gi", 2 << 30), ("2GiB", 2 << 30),
        ("1.5g", 3 << 29), ("8388608", 8 << 20), ("8388608b", 8 << 20), ("16384k", 16 << 20),
        ("1t", 1 << 40),
    ],
)  # fmt: skip
def test_memory_is_in_powers_of_1024(text, count):
    """As docker has it, with units in any case."""
    assert parse_memory(text) == count


def test_memory_is_told_in_the_largest_whole_unit():
    """So that it is exact."""
    units = ("Ki", "Mi", "Gi")
    assert [memory_text(n, units) for n in (2 << 30, 3 << 29, 8 << 20, (8 << 20) + 1)] == [
        "2Gi", "1536Mi", "8Mi", "8388609",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "count"), [("2", "2"), ("1.50", "1.5"), ("10", "10"), ("0.25", "0.25")]
)
def test_processors_are_a_decimal_number(text, count):
    """Written without an exponent and without zeros at the end."""
    assert str(parse_cpus(text)) == count
    assert parse_cpus(text) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800)]
)
def test_a_time_has_units(text, seconds):
    """Seconds, where there is none."""
    assert parse_duration(text) == seconds


def test_users_and_volumes_are_taken_apart():
    """As docker has them."""
    assert parse_user("1000") == User(1000)
    assert parse_user("1000:50") == User(1000, 50)
    assert parse_volume("/data:/mnt:ro") == Volume("/data", "/mnt", read_only=True)
    assert parse_volume("cache:/mnt") == Volume("cache", "/mnt")
    assert parse_variables(["A=b=c", "B="]) == {"A": "b=c", "B": ""}


@pytest.mark.parametrize(
    ("parse", "text", "told"),
    [
        (parse_memory, "two", "512m or 2g"),
        (parse_memory, "-1g", "512m or 2g"),
        (parse_memory, "1k", "6m or more"),
        (parse_cpus, "0", "2 or 1.5"),
        (parse_cpus, "1e3", "2 or 1.5"),
        (parse_duration, "", "1h30m"),
        (parse_duration, "0", "1h30m"),
        (parse_duration, "30m1h", "1h30m"),
        (parse_user, "app", "UID:GID"),
        (parse_user, "9999999999", "numbers end at"),
        (parse_volume, "/data", "SOURCE:TARGET"),
        (parse_volume, "/data:/mnt:rx", "SOURCE:TARGET"),
        (parse_volume, "./data:/mnt", "absolute"),
        (parse_volume, "/data:mnt", "absolute"),
        (lambda text: parse_variables([text]), "A", "NAME=VALUE"),
        (lambda text: parse_variables([text]), "A B=c", "letters"),
        (lambda text: parse_variables([text, text]), "A=b", "given twice"),
    ],
)
def test_what_is_none_is_refused_with_the_way_to_write_it(parse, text, told):
    """Each error says how it is written."""
    with pytest.raises(ValueError, match=told):
        parse(text)
