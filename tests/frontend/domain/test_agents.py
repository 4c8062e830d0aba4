"""What an agent reports about itself."""

from drink_frontend.domain.agents import AgentStats


def test_the_share_of_the_disk_is_told_where_the_agent_knows_its_disk() -> None:
    assert AgentStats(disk_free_bytes=1, disk_bytes=4).disk_free == 0.25
    assert AgentStats(disk_bytes=4).disk_free == 0
    assert AgentStats(disk_free_bytes=1).disk_free is None
