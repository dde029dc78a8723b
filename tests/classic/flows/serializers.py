"""Results as bytes, by classic Prefect's serializers."""

import datetime

from prefect.engine.serializers import CompressedSerializer, DateTimeSerializer, JSONSerializer
from prefect.engine.serializers import PickleSerializer, Serializer


def there_and_back(serializer, value):
    data = serializer.serialize(value)
    return type(data).__name__, serializer.deserialize(data)


def probe_json():
    return there_and_back(JSONSerializer(), {"x": [1, None, "ä"]}), JSONSerializer().serialize(
        [1, "ä"]
    ).decode()


def probe_what_json_lacks():
    JSONSerializer().serialize({1, 2})


def probe_pickle():
    return there_and_back(PickleSerializer(), {"x": (1, {2})})


def probe_datetimes():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    return DateTimeSerializer().deserialize(DateTimeSerializer().serialize(moment)) == moment


def probe_compressed():
    return [
        there_and_back(CompressedSerializer(JSONSerializer(), format=each), [1] * 50)
        for each in ("bz2", "gzip", "lzma", "zlib")
    ]


def probe_compressed_by_functions():
    serializer = CompressedSerializer(
        JSONSerializer(),
        compress=lambda data, n: data * n,
        decompress=lambda data, n: data[: len(data) // n],
        compress_kwargs={"n": 2},
        decompress_kwargs={"n": 2},
    )
    return serializer.serialize([1]).decode(), serializer.deserialize(b"[1][1]")


def probe_compressed_by_nothing():
    CompressedSerializer(JSONSerializer())


def probe_compressed_by_an_unknown_format():
    CompressedSerializer(JSONSerializer(), format="rar")


def probe_equality():
    return (
        JSONSerializer() == JSONSerializer(),
        JSONSerializer() == PickleSerializer(),
        CompressedSerializer(JSONSerializer(), "gzip")
        == CompressedSerializer(JSONSerializer(), "gzip"),
        CompressedSerializer(JSONSerializer(), "gzip")
        == CompressedSerializer(JSONSerializer(), "zlib"),
    )


def probe_one_of_ones_own():
    class Reverse(Serializer):
        def serialize(self, value):
            return value[::-1].encode()

        def deserialize(self, value):
            return value.decode()[::-1]

    return there_and_back(Reverse(), "abc")


def probe_of_a_result():
    from prefect import Flow, task
    from prefect.engine.results import LocalResult

    @task(result=LocalResult(serializer=JSONSerializer()), checkpoint=False)
    def one():
        return 1

    with Flow("f") as flow:
        found = one()
    return flow.run().result[found].result
