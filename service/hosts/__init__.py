"""The work of one service spread over the hosts of a Ray cluster; see docs/scale.md."""
