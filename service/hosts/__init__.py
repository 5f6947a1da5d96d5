"""Distribution of one service's work over the hosts of a Ray cluster; see docs/scale.md."""
