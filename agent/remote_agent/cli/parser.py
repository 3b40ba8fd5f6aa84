"""The arguments of `remote-agent`: each flag with its variable, examples in each help."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final, NoReturn

from remote_agent.cli import commands
from remote_agent.cli.variables import switch_of, text_of, variable_of
from remote_protocol.configuration import closest

_EPILOG: Final = """\
examples:
  remote-agent register --server https://jobs.example.com --token-file token --queue berlin
  remote-agent run
  remote-agent status
  remote-agent pause --comment 'disk replacement'

Every flag has an environment variable, named in the help of its command; every key of the
configuration file has one, too: REMOTE_AGENT_<SECTION>_<KEY>. Flags win over variables, variables
over the file. `remote-agent config` shows each value in effect, and where it is set.

exit codes: 0 clean, 1 fatal, 2 configuration, 3 restarting for an update, 4 token refused
"""
_REGISTER: Final = """\
examples:
  remote-agent register --server https://jobs.example.com --token-file token
  REMOTE_AGENT_TOKEN=rrt_… remote-agent register --server https://jobs.example.com \\
      --queue berlin --queue default --label gpu=true --capacity 8

Running it again with the same settings changes nothing and exits 0. Settings that are left out
stay as they are on the server.
"""
_SERVICE: Final = """\
examples:
  remote-agent service install --server https://jobs.example.com --token-file token
  remote-agent service status
  remote-agent service restart
  remote-agent service uninstall

install      tells the service manager of the agent, makes the account, starts the agent and waits
             until it is online, or says why not. Again: changes what differs. It starts the program
             that you call, so an upgrade is: NEW/remote-agent service install. Jobs run on then.
             On Windows: a service under an account of its own.
             On macOS: a daemon of launchd with sudo (--user U), else an agent of your session.
start, stop, restart   jobs run on; stop --now kills them
status       exit code 0 when it is active
uninstall    prints what it removed. It refuses while jobs run here or results have not reached the
             server; --force kills and deletes them. Works without a server, and again.

profiles of jobs: strict (no privileges, no homes, system read-only), users (strict, and every job a
user of its own: no job reaches the agent's token), open (what the account may do in a shell; the
only one of macOS)
"""
_SERVICE_VERBS: Final = ("install", "start", "stop", "restart", "status", "uninstall")
_RUN: Final = """\
examples:
  remote-agent run
  REMOTE_AGENT_SERVER=https://jobs.example.com REMOTE_AGENT_TOKEN=rrt_… remote-agent run
  remote-agent run --server https://jobs.example.com --token-file token --name ci-1 \\
      --ephemeral --idle-timeout 10m

A host that is not registered yet enrols first, when server and token are given, and waits for a
server that is away. The token does not stay in the environment, or in the arguments.
SIGTERM or SIGINT: take no more jobs and leave as [agent] on_stop says (leave, drain, cancel); a
second one: exit at once. SIGHUP: read the configuration again.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options, with the environment's for flags that are not given; `run` is the command.

    ConfigError for a variable that is no use; SystemExit (2) for wrong arguments, (0) for --help.
    """
    options = build_parser(*arguments[:1]).parse_args(arguments)
    for name, flag, choices in options.texts:
        if getattr(options, name) is None:
            setattr(options, name, text_of(flag, choices))
    for name, flag in options.switches:
        setattr(options, name, getattr(options, name) or switch_of(flag))
    return options


class _Parser(argparse.ArgumentParser):
    """Names what is close to a misspelled command or flag, and whose help to read."""

    def error(self, message: str) -> NoReturn:
        hint = _close(message, self._known_words())
        self.exit(2, f"{self.prog}: {message}{hint}; see: {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Like argparse, but words that are left over are the command's, not the root's."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            options.parser.error(f"unknown arguments: {' '.join(rest)}")
        return options

    def _known_words(self) -> list[str]:
        words = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action.choices, dict):
                words += action.choices
        return words


def _close(message: str, words: list[str]) -> str:
    for given in re.findall(r"[\w-]+", message.rpartition(": ")[2]):
        found = closest(given.partition("=")[0], words)
        if given not in words and found:
            return f"; did you mean {found}?"
    return ""


class _Command:
    """One command and its flags. The variable of an `own` flag is read here, that of a `key` where
    the configuration or the token is read."""

    def __init__(self, name: str, words: str, run: object, epilog: str) -> None:
        self.name = name
        self._words, self._run, self._epilog = words, run, epilog
        self._arguments: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self._texts: list[tuple[str, str, list[str] | None]] = []
        self._switches: list[tuple[str, str]] = []

    def make(self, commands_of: Any) -> None:
        """Have argparse know it: a tenth of a millisecond for each flag."""
        parser: argparse.ArgumentParser = commands_of.add_parser(
            self.name,
            help=self._words,
            description=f"{self._words[0].upper()}{self._words[1:]}.",
            epilog=self._epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(
            run=self._run, parser=parser, texts=self._texts, switches=self._switches
        )
        for names, rest in self._arguments:
            parser.add_argument(*names, **rest)

    def _add(self, *names: str, **rest: Any) -> None:
        self._arguments.append((names, rest))

    def positional(self, name: str, words: str, **rest: Any) -> None:
        self._add(name, help=words, **{"nargs": "?", **rest})

    def choice(self, name: str, words: str, choices: tuple[str, ...]) -> None:
        self._add(name, choices=choices, metavar=name.upper(), help=words)

    def key(self, flag: str, variable: str, words: str, **rest: Any) -> None:
        self._add(flag, help=f"{words} [env: REMOTE_AGENT_{variable}]", **rest)

    def own(self, *flags: str, words: str, switch: bool = False, **rest: Any) -> None:
        flag = flags[-1]
        name = flag.removeprefix("--").replace("-", "_")
        if switch:
            rest["action"] = "store_true"
            self._switches.append((name, flag))
        else:
            self._texts.append((name, flag, rest.get("choices")))
        self._add(*flags, help=f"{words} [env: {variable_of(flag)}]", **rest)

    def output(self) -> None:
        self.own("-o", "--output", words="how to print", choices=["table", "json"])


def build_parser(only: str = "") -> argparse.ArgumentParser:
    """The whole command line; when `only` is a command, no more of it than that."""
    parser = _Parser(
        prog="remote-agent",
        description="Runs jobs of a remote-server on this host, over one outbound connection.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=commands.VERSION)
    all_commands: list[_Command] = []

    def command(name: str, words: str, run: object, *examples: str, text: str = "") -> _Command:
        lines = "".join(f"\n  remote-agent {name}{example}" for example in examples)
        made = _Command(name, words, run, text or f"examples:{lines}")
        all_commands.append(made)
        made.own("--config", words="configuration (TOML)", metavar="FILE")
        made.own("--state-dir", words="identity, attempts and logs", metavar="DIR")
        return made

    register = command("register", "enrol at a server", _enrol, text=_REGISTER)
    _register(register)
    register.output()
    run = command("run", "run in the foreground until stopped", commands.run, text=_RUN)
    _register(run)
    run.own("--once", words="run one job, then exit", switch=True)
    words = "exit after so long without a job, from the first connection on"
    run.own("--idle-timeout", words=words, metavar="DURATION")
    run.own("--with-parent", words="stop when stdin ends: its writer has died", switch=True)
    status = command(
        "status",
        "what the agent does now",
        commands.status,
        *("", " --output json", " --check live", " --check ready"),
    )
    words = "only whether it works (live), or is connected (ready): exit code 0 or 1"
    status.own("--check", words=words, choices=["live", "ready"])
    status.output()
    pause = command(
        "pause", "take no new jobs, until resume", commands.pause, " --comment 'new disk'"
    )
    pause.own("--comment", words="why; shown wherever the agent is shown", metavar="TEXT")
    command("resume", "take jobs again, after pause or drain", commands.resume, "")
    drain = command("drain", "finish running jobs, then exit", commands.drain, "", " --deadline 1h")
    drain.own("--deadline", words="cancel what still runs then", metavar="DURATION")
    leave = command("unregister", "leave the server and forget the token", _unregister, "")
    leave.own("--force", words="even while jobs run here or await delivery", switch=True)
    log = command("logs", "local copies of logs", _logs, "", " -f", " 01JD3 --follow")
    log.positional("job", "id of a job or its beginning; none: the agent's own log")
    log.own("-f", "--follow", words="go on as it grows", switch=True)
    config = command(
        "config", "the configuration in effect, and where it is set", commands.config, ""
    )
    config.output()
    doctor = command(
        "doctor",
        "what keeps this host from running jobs",
        _doctor,
        *("", " --output json", " --idle 90s"),
        " --server https://jobs.example.com --token-file token",
    )
    _server(doctor)
    doctor.own("--idle", words="try so long a silence on a WebSocket, too", metavar="DURATION")
    doctor.output()
    service = command(
        "service", "install and run the agent as a service of this host", _service, text=_SERVICE
    )
    service.choice("verb", f"what to do: {', '.join(_SERVICE_VERBS)}", _SERVICE_VERBS)
    service.key("--server", "SERVER", "install: the server, when not registered yet", metavar="URL")
    words = "install: registration token, better --token-file"
    service.key("--token", "TOKEN", words, metavar="TOKEN")
    service.key("--token-file", "TOKEN_FILE", "install: file that holds it", metavar="FILE")
    service.own("--user", words="install: account; default: remote-agent", metavar="U")
    words = "install, on Windows: file with the password of the account"
    service.own("--password-file", words=words, metavar="FILE")
    service.own("--profile", words="install: strict (default), users or open", metavar="P")
    service.own("--no-start", words="install: leave the start to the next boot", switch=True)
    words = "install, start, restart: how long to wait for the connection, 0 for not; default: 30s"
    service.own("--deadline", words=words, metavar="DURATION")
    service.own("--now", words="stop: kill its jobs, too", switch=True)
    service.own("--force", words="uninstall: even while jobs run or await delivery", switch=True)
    service.output()
    debug = command(
        "debug",
        "one file for whoever looks for a fault from afar, without secrets",
        _debug,
        " bundle agent.tar.gz",
    )
    debug.choice("what", "what to make: bundle", ("bundle",))
    debug.positional("file", "where to write it; a .tar.gz", nargs=None)
    _server(debug)
    command("version", "print the version", commands.version, "")
    commands_of = parser.add_subparsers(metavar="COMMAND", required=True)
    for made in [one for one in all_commands if one.name == only] or all_commands:
        made.make(commands_of)
    return parser


# Imported only by those who need them: every start of the agent comes through this module.


def _enrol(options: argparse.Namespace) -> int:
    from remote_agent.cli.enrol import register

    return register(options)


def _unregister(options: argparse.Namespace) -> int:
    from remote_agent.cli.enrol import unregister

    return unregister(options)


def _service(options: argparse.Namespace) -> int:
    from remote_agent.cli.service import service

    return service(options)


def _logs(options: argparse.Namespace) -> int:
    from remote_agent.cli.logs import logs

    return logs(options)


def _doctor(options: argparse.Namespace) -> int:
    from remote_agent.cli.doctor import doctor

    return doctor(options)


def _debug(options: argparse.Namespace) -> int:
    from remote_agent.cli.debug import debug

    return debug(options)


def _server(command: _Command) -> None:
    key = command.key
    key("--server", "SERVER", "the server", metavar="URL")
    words = "registration or agent token; others see it in ps, better --token-file"
    key("--token", "TOKEN", words, metavar="TOKEN")
    key("--token-file", "TOKEN_FILE", "file that holds it", metavar="FILE")
    key("--proxy", "PROXY", "http://user:password@host:port", metavar="URL")
    key("--ca-file", "CA_FILE", "certificates of a private CA", metavar="FILE")
    words = "plain HTTP to another host, where everybody on the way is trusted"
    key("--insecure", "INSECURE", words, action="store_const", const=True)


def _register(register: _Command) -> None:
    key, own = register.key, register.own
    _server(register)
    key("--name", "NAME", "unique name; default: host name", metavar="N")
    key("--queue", "QUEUES", "queue to serve, repeatable", metavar="Q", action="append")
    key("--label", "LABELS", "what jobs may ask for, repeatable", metavar="K=V", action="append")
    key("--capacity", "CAPACITY", "jobs at a time, or default=4,monitors=10", metavar="N")
    own("--replace", words="take over the name, or leave another server for this", switch=True)
    own("--ephemeral", words="leave the server again when the agent ends", switch=True)
