from .. import plain
from ..plain import one as only


class Deep:
    def get(self):
        return type(self).__module__, plain.one(), only()


def up():
    return [plain.one(), only()]
