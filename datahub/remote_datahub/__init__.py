"""DataHub's ingestion as a kind of jobs: an extension of remote-agent, remote-server and remotectl.

One module for each side: `spec` is the language of all three and pure, `planner` is loaded by
agents, `cli` by `remotectl`, `page` by servers. None of these knows another.
"""

__version__ = "0.1.0"
