"""Upper bounds that both sides enforce on what the other one sends (I9). Sizes in bytes."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 1
"""The version of the agent protocol that this code speaks."""
SUBPROTOCOL: Final = "remote-agent.v1"
"""Named for the first version: agents and servers agree on a newer one in the hello."""

MAX_PAYLOAD: Final = 256 * 1024
"""Bytes in one chunk: big enough for 400 MB/s, small enough for control messages to pass."""
MAX_CHUNK_FRAME: Final = MAX_PAYLOAD + 64
MAX_AGENT_MESSAGE: Final = MAX_PAYLOAD
"""A text frame from an agent: no more than a chunk, so that a link never holds more than that
before it is looked at. What is longer comes in parts."""
MAX_TOGETHER: Final = 64
"""Messages in one text frame, a line each."""
MAX_PROBE_FRAME: Final = 125
"""A frame of a probe (`GET /agent/probe`), which comes back as it went."""
MAX_PART: Final = 500
"""Attempts in one part of an inventory."""
MAX_SERVER_MESSAGE: Final = 16 * 1024 * 1024
"""A text frame from the server; the largest is an `offer` with files."""
MAX_OFFERED: Final = MAX_SERVER_MESSAGE - 4096
"""A job's specification as JSON in an `offer`: the rest is for the other fields."""
MAX_JOB_BODY: Final = 12 * 1024 * 1024
"""The HTTP body of one submitted job."""
MAX_BATCH_BODY: Final = 16 * 1024 * 1024
MAX_LOOKED_UP: Final = 500
"""Jobs of one look-up by their ids, and by their keys."""
MAX_BATCH_JOBS: Final = 2_000
MAX_GROUP_MEMBERS: Final = 10_000
"""Agents that one group reaches."""
MAX_GROUP_SIZE: Final = 64 * 1024 * 1024
"""Characters of the specifications of all members of a group together."""
MAX_FILES_SIZE: Final = 6 * 1024 * 1024
"""All files of one job together, decoded."""
MAX_FILES: Final = 1_000
MAX_FILE_NAME: Final = 255
"""One name of a file's path (NAME_MAX)."""
MAX_FILE_PATH: Final = 1024
"""A file's whole path: a host's PATH_MAX of 4096 has room for the work directory before it."""
MAX_FILE_DEPTH: Final = 64
"""Names in a file's path."""
MAX_ARGUMENTS: Final = 10_000
MAX_COMMAND_SIZE: Final = 128 * 1024
"""Linux refuses one argument, or one `NAME=value`, of 128 KiB with its NUL (MAX_ARG_STRLEN)."""
MAX_EXEC_SIZE: Final = 1024 * 1024
"""Arguments and environment of a job together, each with its NUL and a pointer: half of what Linux
takes by default, because the agent's own environment is added (ARG_MAX)."""
MAX_SCRIPT_SIZE: Final = 1024 * 1024
MAX_PRELOAD: Final = 50
MAX_PRELOAD_ENV: Final = 100
"""Modules that a Python job has imported before it starts, and variables for them."""
MAX_REQUIREMENTS: Final = 2_000
"""Packages that a Python job requires."""
MAX_REQUIREMENT: Final = 64 * 1024
"""Characters of one of them."""
MAX_REQUIREMENTS_SIZE: Final = 512 * 1024
"""Characters of them all, with their hashes."""
MAX_ENV: Final = 4096
"""Variables of a job."""
MAX_ENV_SIZE: Final = 512 * 1024
MAX_SECRETS: Final = 64
"""Secrets of a job."""
MAX_SECRETS_SIZE: Final = 1024 * 1024
"""All of them together, names and values."""
MAX_NAME: Final = 128
NAME_PATTERN: Final = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}$"
"""Of the name of an agent or a queue (`ids.Name`)."""
NAME_WORDS: Final = f"is 1 to {MAX_NAME} letters, digits, dots, hyphens or underscores"
SCRIPT_NAME: Final = "main.py"
"""What a Python job's script is called when nobody says it."""
SCRIPT_NAME_PATTERN: Final = rf"^[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}$"
MAX_LABELS: Final = 64
MAX_QUEUES: Final = 100
"""Queues of one agent or token."""
MAX_CLASSES: Final = 100
"""Capacity classes of one agent."""
MAX_KINDS: Final = 32
"""Kinds of jobs that an agent says it runs."""
MAX_CAPACITY: Final = 10_000
"""Jobs at a time of one class."""
MAX_USES: Final = 1_000_000
"""Agents that may enrol with one registration token."""
MAX_REASONS: Final = 100
"""End reasons in a list, repeated ones counted."""
MAX_STEPS: Final = 200
"""Entries that an agent adds to a timeline when an attempt ends."""
MAX_OUTPUTS: Final = 64
"""Outputs of one attempt."""
MAX_OUTPUT_KEY: Final = 128
MAX_OUTPUT_VALUE: Final = 32 * 1024
"""Bytes of one output's value, in UTF-8."""
MAX_OUTPUTS_SIZE: Final = 64 * 1024
"""Keys and values of all outputs of an attempt together; and the file that they are read from. With
every character escaped they still fit into a text frame."""
OUTPUT_KEY_PATTERN: Final = rf"^[A-Za-z_][A-Za-z0-9_.-]{{0,{MAX_OUTPUT_KEY - 1}}}$"
OUTPUT_KEY_WORDS: Final = (
    f"1 to {MAX_OUTPUT_KEY} letters, digits, underscores, hyphens or dots, with a letter or an "
    "underscore first"
)
MAX_ARTIFACTS: Final = 1_000
"""Files that one attempt may give back."""
MAX_ARTIFACT_DEPTH: Final = 16
"""Names in an artifact's path."""
ARTIFACT_WINDOW: Final = 1024 * 1024
"""Unacknowledged bytes in flight of one artifact."""
MAX_CONTENT: Final = 1 << 40
"""Bytes of one content: a file or a bundle that is named by its SHA-256."""
MAX_CONTENT_PART: Final = 1024 * 1024
"""Bytes of a content in one HTTP call, and in one request of an agent."""
MAX_BUNDLE: Final = 2 * 1024 * 1024 * 1024
"""Bytes of a bundle, and of all that is in it, unpacked."""
MAX_BUNDLE_FILES: Final = 50_000
"""Files and folders in a bundle."""
NO_OUTPUT: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff"
"""Characters that no output has, as in a class of a pattern: control characters but for tab and
line ends, and halves of surrogate pairs. So a value can be printed as it is, and every database
takes it."""
MAX_INVENTORY: Final = 10_000
"""Attempts that an agent holds: the server rules on them without holding its loop for 0.1 s."""
MAX_LEASES: Final = 5_000
"""Attempts that an agent may hold when it is offered more."""
MAX_LOG_LINE: Final = 2_000
"""Characters of a line of an agent's own log."""
MAX_LOG_LINES: Final = 100
"""Lines of it in one message."""
MAX_WORD: Final = 256
"""A version, a host's name, an identifier."""
MAX_TEXT: Final = 2_000
"""A sentence: comment, detail, description."""
WINDOW: Final = 2 * 1024 * 1024
"""Unacknowledged log bytes in flight for one attempt; as many of its input, the other way."""
MAX_PRIVATE_INPUT: Final = 64 * 1024
"""Bytes of an input that is given with a job's submission, in UTF-8."""
MAX_INPUT_PART: Final = 1024 * 1024
"""Bytes of a job's input in one HTTP call."""
