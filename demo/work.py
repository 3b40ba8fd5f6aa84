"""The long job of the demo: compile a real package of the standard library, then test its files.

Runs on the agent with any Python, standard library only. For each source file: tokenize it, parse
it, compile it, and compare: what `ast.unparse` writes must parse to the same tree again. One line
of output a check, thousands in all.
"""

import ast
import io
import pathlib
import sys
import sysconfig
import tokenize


def check(path: pathlib.Path, root: pathlib.Path) -> int:
    """Check one file; gives the number of failed checks."""
    name, failed = path.relative_to(root), 0
    source = path.read_bytes()
    tree = ast.parse(source, str(path))
    compile(tree, str(path), "exec", dont_inherit=True)
    count = sum(1 for _ in tokenize.tokenize(io.BytesIO(source).readline))
    print(f"{name}: {len(source)} bytes, {count} tokens, compiles")
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            continue
        again = ast.parse(ast.unparse(node)).body[0]
        same = ast.dump(node) == ast.dump(again)
        failed += not same
        print(
            f"{name}:{node.lineno}: {node.name} round-trips {'ok' if same else 'FAILED'}",
            flush=True,
        )
    return failed


def main() -> int:
    """Check the packages named on the command line."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    files = [file for package in sys.argv[1:] for file in sorted((root / package).rglob("*.py"))]
    files = [file for file in files if "test" not in file.parts and "tests" not in file.parts]
    failed = sum(check(file, root) for file in files)
    print(f"{len(files)} files of {', '.join(sys.argv[1:])} checked, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
