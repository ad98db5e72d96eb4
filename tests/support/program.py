"""The program, called as a test calls it: in this process, with its exit code checked."""

import json

from click.testing import CliRunner

from graphrec.cli import main


def run(*words, code=0):
    """The result of a command that ends with this exit code, or with one of several."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    codes = code if isinstance(code, tuple) else (code,)
    assert result.exit_code in codes, result.output + repr(result.exception)
    return result


def run_json(*words, code=0):
    """What a command says with ``--json``: one line."""
    result = run(*words, '--json', code=code)
    assert result.stdout.count('\n') == 1
    return json.loads(result.stdout)


def refused(*words):
    """The one line on standard error of a command that was refused."""
    result = run(*words, code=2)
    assert result.stderr.startswith('error: ')
    assert result.stderr.count('\n') == 1
    return result.stderr
