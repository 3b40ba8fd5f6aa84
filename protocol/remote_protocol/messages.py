"""Every message between agent and server, one frozen type each, and what they are made of. Pure.

Unknown fields are ignored, so that versions can differ; adding a message is preferred to
changing one. Times are Unix seconds of the sender's wall clock, for display only: no decision
rests on them. Output and input of jobs travel in binary frames (`codec.Chunk`), never in these.
"""

from remote_protocol.agent_messages import *  # noqa: F403 - all that either side says
from remote_protocol.parts import *  # noqa: F403 - and what they are made of
from remote_protocol.server_messages import *  # noqa: F403
