"""What an agent does not load, and that it is there for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

BEGUN = "import sys; from remote_agent.left_out import leave_out; leave_out(); "


def said(program: str) -> str:
    """What a new interpreter prints in which a start of the agent has begun."""
    call = [sys.executable, "-W", "error", "-c", BEGUN + program]
    done = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_libraries_do_not_load_it() -> None:
    program = (
        "import pydantic, websockets.asyncio.client\n"
        "class One(pydantic.BaseModel):\n    number: int\n"
        "print(One(number='1').number)\n"
        "import shutil, inspect, subprocess, argparse\n"
        "print({'email', 'http.client', 'zipfile', 'urllib.error', '_bz2', '_lzma'}\n"
        "      & set(sys.modules))\n"
        "argparse.ArgumentParser(description='x').format_help()\n"
        "later = ('ast', 'gettext', 'locale', 'tokenize')\n"
        "print({type(sys.modules[name]).__name__ for name in later})"
    )
    assert said(program) == "1\nset()\n{'_Later'}"


def test_who_wants_something_of_it_gets_it() -> None:
    program = (
        "import urllib.request, importlib.metadata\n"
        "early = urllib.request\n"
        "print(early.getproxies_environment is not None, urllib.request is not early)\n"
        "print(sys.modules['urllib.request'] is urllib.request)\n"
        "from importlib.metadata import version\n"
        "print(version('pydantic') == importlib.metadata.version('pydantic'))\n"
        "try: early.no_such_name\n"
        "except AttributeError as error: print(error)"
    )
    assert said(program).splitlines() == [
        "True True",
        "True",
        "True",
        "module 'urllib.request' has no attribute 'no_such_name'",
    ]


def test_syntax_trees_are_read_by_classes_that_were_made_before() -> None:
    program = (
        "import ast\n"
        "class Names(ast.NodeVisitor):\n"
        "    found = []\n"
        "    def visit_Name(self, node): self.found.append(node.id)\n"
        "only_tree = 1 << 10\n"
        "tree = compile('a = b(c)', '', 'exec', flags=only_tree)\n"
        "Names().visit(tree)\n"
        "print(Names.found, sys.modules['ast'] is not ast)\n"
        "import json, inspect\n"
        "print(inspect.getsource(json.JSONDecoder).splitlines()[0])"
    )
    assert said(program).splitlines() == ["['a', 'b', 'c'] True", "class JSONDecoder(object):"]


def test_texts_stay_as_they_are_in_any_language() -> None:
    program = (
        "import os; os.environ['LANGUAGE'] = 'de_DE.UTF-8'\n"
        "from gettext import gettext, ngettext, NullTranslations\n"
        "print(gettext('one'), ngettext('one', 'many', 1), ngettext('one', 'many', 2))\n"
        "print(NullTranslations().gettext('one'))"
    )
    assert said(program).splitlines() == ["one one many", "one"]


def test_times_are_those_of_the_compiled_module() -> None:
    program = (
        "import pickle, datetime\n"
        "from datetime import UTC, timedelta\n"
        "at = datetime.datetime(2026, 2, 1, tzinfo=UTC)\n"
        "print(pickle.loads(pickle.dumps(at)) == at, at + timedelta(days=1))\n"
        "print(datetime.datetime.strptime('2026-02-01', '%Y-%m-%d').date())\n"
        "from zoneinfo import ZoneInfo\n"
        "print('_pydatetime' in sys.modules or hasattr(datetime, '_check_date_fields'))"
    )
    assert said(program).splitlines() == ["True 2026-02-02 00:00:00+00:00", "2026-02-01", "False"]


def test_archives_and_tracebacks_have_what_they_need() -> None:
    program = (
        "import io, shutil, tarfile, traceback\n"
        "for form in ('bz2', 'xz'):\n"
        "    whole = io.BytesIO()\n"
        "    with tarfile.open(fileobj=whole, mode=f'w:{form}') as written: pass\n"
        "    whole.seek(0)\n"
        "    with tarfile.open(fileobj=whole) as read: print(form, read.getnames())\n"
        "print('bztar' in dict(shutil.get_archive_formats()))\n"
        "import json\n"
        "try: json.loads('x')\n"
        "except ValueError: print('raise JSONDecodeError' in traceback.format_exc())"
    )
    assert said(program).splitlines() == ["bz2 []", "xz []", "True", "True"]


def test_no_plugin_of_another_package_gets_into_the_agent() -> None:
    program = "from pydantic.plugin._loader import get_plugins; print(list(get_plugins()))"
    assert said(program) == "[]"


def test_what_is_loaded_already_stays() -> None:
    program = (
        "import urllib.request as first; import pydantic.plugin._loader as loader\n"
        "leave_out()\n"
        "import urllib.request\n"
        "print(urllib.request is first, sys.modules['pydantic.plugin._loader'] is loader)"
    )
    call = [
        sys.executable,
        "-c",
        "import sys; from remote_agent.left_out import leave_out;" + program,
    ]
    done = subprocess.run(call, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "True"]


def test_the_shapes_of_schemas_are_no_classes_with_compiled_annotations() -> None:
    program = (
        "from remote_agent.left_out import load_schemas\n"
        "load_schemas()\n"
        "import typing, typing_extensions, pydantic, pydantic_core\n"
        "print(hasattr(pydantic_core.core_schema.StringSchema, '__total__'))\n"
        "class Known(typing_extensions.TypedDict, total=False):\n    size: int\n"
        "class One(pydantic.BaseModel):\n    known: Known\n"
        "print(One(known={'size': '1'}).known, typing.TypedDict.__module__)\n"
        "try: One(known=1)\n"
        "except pydantic.ValidationError as error: print(error.errors()[0]['type'])"
    )
    assert said(program).splitlines() == ["False", "{'size': 1} typing", "dict_type"]


def test_schemas_that_are_loaded_already_stay() -> None:
    program = (
        "from remote_agent.left_out import load_schemas\n"
        "import pydantic_core\n"
        "load_schemas()\n"
        "print(hasattr(pydantic_core.core_schema.StringSchema, '__total__'))"
    )
    assert said(program) == "True"
