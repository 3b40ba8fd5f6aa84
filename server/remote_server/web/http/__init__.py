"""HTTP as the server speaks it: connections, bodies, headers, long answers. Knows no resource."""
