"""Published numbers name their model, protocol and source, and belong to a task."""

from examples.peers.comparison import TASKS
from examples.peers.published import PUBLISHED


def test_every_number_says_where_it_stands():
    for one in PUBLISHED:
        assert one.task in TASKS
        assert 0 < one.accuracy < 100
        assert all((one.model, one.protocol, one.source))
